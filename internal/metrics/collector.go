package metrics

import (
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/reload"
	"github.com/arpfabric/arpfabric/internal/source"
	"github.com/arpfabric/arpfabric/internal/store"
	"github.com/arpfabric/arpfabric/internal/violation"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/prometheus/client_golang/prometheus"
)

// A metric is the description and the type of a metric, without a value.
type metric struct {
	*prometheus.Desc
	kind prometheus.ValueType
}

func gauge(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc("arpfabric_"+name, help, labels, nil), prometheus.GaugeValue}
}

func counter(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc("arpfabric_"+name, help, labels, nil), prometheus.CounterValue}
}

var (
	buildInfo = gauge("build_info", "Version, revision and Go version of the build; always 1.",
		"version", "revision", "goversion")

	datapathInfo = gauge("datapath_info", "Datapath that is in force, kernel or user; always 1.", "in_force")

	networkInfo = gauge("network_info", "Attachment, mode and guard of a network; always 1.",
		"network", "mode", "attach", "guard")
	ports    = gauge("ports", "Current guest ports of a network.", "network")
	bindings = gauge("bindings", "Bindings in a network's registry.", "network")

	sourceBindings = gauge("source_bindings", "Bindings that a source has now, such as a DHCP server's leases, also those that "+
		"are not in force.", "network", "source")
	sourceOK = gauge("source_last_read_successful", "1 if the source was read when it last changed, or 0 while what was known "+
		"stays in force.", "network", "source")

	frames = counter("frames_total", "Frames of a port that the fabric has seen, by its verdict: the reason and the action. "+
		"In classic mode the action is the one that mode vpc would have taken. Of the frames that are not on the "+
		"allow-list the fabric sees samples only; arpfabric_refused_frames_total counts all of them.",
		"network", "port", "reason", "action")
	refused = counter("refused_frames_total", "Frames of a port that were not on the allow-list, as the kernel has "+
		"counted them. In classic mode the bridge forwarded them. A port has no series if the kernel does not count for it.",
		"network", "port")
	violationFrames = counter("violation_frames_total", "Frames of a guest port with a MAC or an address that is not "+
		"the sender's own; for non-ARP, samples only. Each guest port has a series from the start.",
		"network", "port")

	answerDuration = metric{Desc: prometheus.NewDesc("arpfabric_answer_duration_seconds", "Duration of answers, from "+
		"reading the batch of frames that contains the request until handing all answers to that batch to the kernel. It "+
		"does not include the time that a request waits in its socket, nor answers through the neighbour table, to the "+
		"host itself and to a sidecar's guest.", nil, nil)}

	reinstalls = counter("guard_reinstalls_total", "Times that arpfabric installed the guard again because another "+
		"program had changed it.")
	frameLosses = counter("frame_losses_total", "Losses of frames that arpfabric did not read in time: one for each "+
		"overrun of the socket for bridges and sidecars (NFLOG), and one for each frame on an interface. On a TAP the "+
		"losses are not known.")
	eventLosses = counter("event_losses_total", "Times that arpfabric did not read the kernel's messages about "+
		"interfaces and rules (netlink) in time. It then read the whole state again.")
	strays = counter("stray_frames_total", "Frames from interfaces that were not a port, or no longer a port.")

	records = gauge("violation_records", "Current records of violations: guests that used a MAC or an address "+
		"that is not their own.")
	forgotten = counter("violation_records_forgotten_total", "Records of violations that arpfabric deleted to make room "+
		"for others.")

	generation = gauge("config_generation", "Number of the configuration that is in force: 1 at the start, and one more after "+
		"each reload that succeeds.")
	reloaded = gauge("config_last_reload_success_timestamp_seconds", "Time at which arpfabric read the configuration "+
		"that is in force, in seconds since 1970.")
	reloadOK = gauge("config_last_reload_successful", "1 if the last reload succeeded, or 0 while the previous "+
		"configuration stays in force.")
	failures = counter("config_reload_failures_total", "Reloads that failed.")

	etcdUsable = gauge("etcd_usable", "1 if addresses can be allocated in etcd, or 0 if it cannot be reached or used. There is no "+
		"series without etcd in the configuration.")
	etcdCurrent = gauge("etcd_current_timestamp_seconds", "Time at which the allocations in force were last known to be those "+
		"of etcd, in seconds since 1970; 0 for never.")
)

var allMetrics = []metric{
	buildInfo, datapathInfo, networkInfo, ports, bindings, sourceBindings, sourceOK, frames, refused, violationFrames, answerDuration,
	reinstalls, frameLosses, eventLosses, strays, records, forgotten,
	generation, reloaded, reloadOK, failures, etcdUsable, etcdCurrent,
}

// A collector is a prometheus.Collector of the values that read returns.
type collector struct{ read func() Snapshot }

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range allMetrics {
		to <- m.Desc
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	f, s := c.read(), sink(to)
	s.send(buildInfo, 1, f.Build.Version, f.Build.Revision, f.Build.Go)
	s.send(datapathInfo, 1, string(f.Datapath))
	s.sendNetworks(f.Networks, f.Ports)
	s.sendSources(f.Networks, f.Sources)
	s.sendPorts(f.Ports)
	s.sendLatency(f.Latency)
	s.sendTroubles(f.Troubles)
	s.send(records, float64(f.Records))
	s.send(forgotten, float64(f.Forgotten))
	s.sendReload(f.Reload)
	s.sendEtcd(f.Etcd)
}

// A sink receives the collected metrics.
type sink chan<- prometheus.Metric

// send sends a value.
func (s sink) send(m metric, value float64, labels ...string) {
	// The kernel accepts almost any bytes in an interface's name; MustNewConstMetric panics on a label that is not UTF-8.
	for i := range labels {
		labels[i] = strings.ToValidUTF8(labels[i], "\uFFFD")
	}
	s <- prometheus.MustNewConstMetric(m.Desc, m.kind, value, labels...)
}

func (s sink) sendNetworks(networks []config.Network, counts []fabric.PortCounts) {
	guests := fabric.GuestPorts(counts)
	for _, n := range networks {
		s.send(networkInfo, 1, n.Name, string(n.Mode), n.Attach.String(), string(n.GuardInForce()))
		s.send(ports, float64(guests[n.Name]), n.Name)
		s.send(bindings, float64(n.Registry.Len()), n.Name)
	}
}

func (s sink) sendSources(networks []config.Network, states map[string][]source.State) {
	for _, n := range networks {
		for i, state := range states[n.Name] {
			successful := 1.0
			if state.Err != nil {
				successful = 0
			}
			s.send(sourceBindings, float64(len(state.Leases)), n.Name, n.Sources[i].String())
			s.send(sourceOK, successful, n.Name, n.Sources[i].String())
		}
	}
}

func (s sink) sendPorts(counts []fabric.PortCounts) {
	for _, p := range counts {
		for verdict, n := range p.Verdicts {
			s.send(frames, float64(n), p.Network, p.Port, verdict.Reason.String(), verdict.Action.String())
		}
		if p.KernelCounted {
			s.send(refused, float64(p.Refused), p.Network, p.Port)
		}
		if p.Kind == responder.GuestPort {
			s.send(violationFrames, float64(violating(p.Verdicts)), p.Network, p.Port)
		}
	}
}

// violating returns the number of verdicts whose reason is a violation.
func violating(verdicts map[responder.Verdict]uint64) (sum uint64) {
	for verdict, n := range verdicts {
		if violation.Is(verdict.Reason) {
			sum += n
		}
	}
	return sum
}

func (s sink) sendLatency(l fabric.Latency) {
	// The buckets of a Prometheus histogram are cumulative; those of the fabric are not.
	atMost := map[float64]uint64{}
	var count uint64
	for i, n := range l.Counts {
		count += n
		if i < len(l.Bounds) {
			atMost[l.Bounds[i].Seconds()] = count
		}
	}
	s <- prometheus.MustNewConstHistogram(answerDuration.Desc, count, l.Sum.Seconds(), atMost)
}

func (s sink) sendTroubles(t fabric.Troubles) {
	s.send(reinstalls, float64(t.Reinstalled))
	s.send(frameLosses, float64(t.LostFrames))
	s.send(eventLosses, float64(t.LostEvents))
	s.send(strays, float64(t.Strays))
}

func (s sink) sendReload(r reload.Status) {
	s.send(generation, float64(r.Generation))
	s.send(reloaded, seconds(r.Loaded))
	s.send(reloadOK, oneIf(r.LastError == nil))
	s.send(failures, float64(r.Failures))
}

func (s sink) sendEtcd(h *store.Health) {
	if h == nil {
		return
	}
	s.send(etcdUsable, oneIf(h.Err == nil))
	s.send(etcdCurrent, seconds(h.Current))
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// seconds returns a time in seconds since 1970, or 0 for the zero Time.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixNano()) / float64(time.Second)
}
