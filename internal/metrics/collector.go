package metrics

import (
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/reload"
	"github.com/arpfabric/arpfabric/internal/violation"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/prometheus/client_golang/prometheus"
)

// A metric is what is told about a name, before there is a value.
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
	buildInfo = gauge("build_info", "What the running program was built from; always 1.",
		"version", "revision", "goversion")

	networkInfo = gauge("network_info", "How a network is attached, its mode and its guard; always 1.",
		"network", "mode", "attach", "guard")
	ports    = gauge("ports", "Guest ports of a network that there are now.", "network")
	bindings = gauge("bindings", "Bindings in a network's registry.", "network")

	frames = counter("frames_total", "Frames of a port that the fabric has seen, by its verdict: why, and what was done, "+
		"or in classic mode would have been. Of frames that are not on the allow-list it sees samples; "+
		"arpfabric_refused_frames_total has all of them.",
		"network", "port", "reason", "action")
	refused = counter("refused_frames_total", "Frames of a port that were not on the allow-list, as the kernel has "+
		"counted them. In classic mode they went on their way. There is none for ports that the kernel does not count for.",
		"network", "port")
	violationFrames = counter("violation_frames_total", "Frames of a guest port with an identity that is not the "+
		"sender's own; of other frames than ARP, samples. There is one for each guest port, also while it is 0.",
		"network", "port")

	answerDuration = metric{Desc: prometheus.NewDesc("arpfabric_answer_duration_seconds", "How long answers took, from "+
		"when the batch of frames was read that the request was in until all answers to that batch had been handed to "+
		"the kernel. The time that a request waited in its socket is not in it, and neither are answers in the "+
		"neighbour table, to the host itself and to a sidecar's guest.", nil, nil)}

	reinstalls = counter("guard_reinstalls_total", "Times that the guard was installed again because somebody had "+
		"changed it.")
	frameLosses = counter("frame_losses_total", "Losses of frames that were not read in time: one for each report of the "+
		"kernel that the socket for bridges and sidecars (NFLOG) ran over, one for each frame on an interface. "+
		"On a TAP they are not known.")
	eventLosses = counter("event_losses_total", "Times that the kernel's messages about interfaces and rules (netlink) "+
		"were not read in time; all was read anew then.")
	strays = counter("stray_frames_total", "Frames from interfaces that were no port, or no longer.")

	records   = gauge("violation_records", "Violations that are on record: who used an identity that is not theirs.")
	forgotten = counter("violation_records_forgotten_total", "Records of violations that have made room for others.")

	generation = gauge("config_generation", "Which configuration is in force: 1 at the start, one more with each reload "+
		"that succeeds.")
	reloaded = gauge("config_last_reload_success_timestamp_seconds", "When the configuration that is in force was read, "+
		"in seconds since 1970.")
	reloadOK = gauge("config_last_reload_successful", "Whether the last reload succeeded: 1, or 0 while an older "+
		"configuration stays in force.")
	failures = counter("config_reload_failures_total", "Reloads that failed.")
)

var all = []metric{
	buildInfo, networkInfo, ports, bindings, frames, refused, violationFrames, answerDuration,
	reinstalls, frameLosses, eventLosses, strays, records, forgotten,
	generation, reloaded, reloadOK, failures,
}

// A collector is a prometheus.Collector of what read returns.
type collector struct{ read func() Figures }

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range all {
		to <- m.Desc
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	f, s := c.read(), sink(to)
	s.send(buildInfo, 1, f.Build.Version, f.Build.Revision, f.Build.Go)
	s.sendNetworks(f.Networks, f.Ports)
	s.sendPorts(f.Ports)
	s.sendLatency(f.Latency)
	s.sendTroubles(f.Troubles)
	s.send(records, float64(f.Records))
	s.send(forgotten, float64(f.Forgotten))
	s.sendReload(f.Reload)
}

// A sink takes what is collected.
type sink chan<- prometheus.Metric

// send sends a value. Names of interfaces are any bytes, label values are UTF-8.
func (s sink) send(m metric, value float64, labels ...string) {
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

func (s sink) sendPorts(counts []fabric.PortCounts) {
	for _, p := range counts {
		for verdict, n := range p.Verdicts {
			s.send(frames, float64(n), p.Network, p.Port, verdict.Reason.String(), verdict.Action.String())
		}
		if p.Tallied {
			s.send(refused, float64(p.Refused), p.Network, p.Port)
		}
		if p.Kind == fabric.GuestPort {
			s.send(violationFrames, float64(violating(p.Verdicts)), p.Network, p.Port)
		}
	}
}

// violating returns how many verdicts were about a violation.
func violating(verdicts map[responder.Verdict]uint64) (sum uint64) {
	for verdict, n := range verdicts {
		if violation.Is(verdict.Reason) {
			sum += n
		}
	}
	return sum
}

func (s sink) sendLatency(l fabric.Latency) {
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
	successful := 1.0
	if r.LastError != nil {
		successful = 0
	}
	s.send(generation, float64(r.Generation))
	s.send(reloaded, float64(r.Loaded.UnixNano())/float64(time.Second))
	s.send(reloadOK, successful)
	s.send(failures, float64(r.Failures))
}
