package metrics

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/build"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/importer"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/reload"
	"github.com/arpfabric/arpfabric/internal/source"
	"github.com/arpfabric/arpfabric/internal/store"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
)

type verdicts = map[responder.Verdict]uint64

// sample returns a Snapshot with a value for each metric.
func sample(t *testing.T) Snapshot {
	t.Helper()
	addr := netip.MustParseAddr("10.239.0.1")
	binding := registry.Binding{First: addr, Last: addr, MAC: registry.MAC{2, 0, 0, 0, 0, 1}}
	registry, err := registry.New(slices.Values([]registry.Binding{binding}))
	labtest.Must(t, err)
	return Snapshot{
		Build:    build.Info{Version: "v1.2.3", Revision: "abc", Go: "go1.26"},
		Datapath: config.DatapathKernel,
		Networks: []config.Network{
			{
				Name: "lab", Mode: config.VPC, Attach: config.Attachment{Bridge: "br0"},
				Guard: config.GuardFull, Registry: registry,
				Sources: []config.Source{
					{Kind: config.DnsmasqLeases, Of: "/leases"}, {Kind: config.KeaLeases, Of: "/leases4.csv"},
				},
			},
			{
				Name: "quiet", Mode: config.Classic, Attach: config.Attachment{Kind: config.AttachInterface, Device: "eth1"},
				Guard: config.GuardNone, Registry: registry,
			},
		},
		Sources: map[string][]source.State{"lab": {
			{Leases: []importer.Lease{{Binding: binding}}, Err: errors.New("no such file")}, {},
		}},
		Ports: []fabric.PortCounts{
			{Network: "lab", Port: "br0", Kind: responder.Host, Verdicts: verdicts{
				{Action: responder.Reply, Reason: responder.Answered}: 2,
			}},
			{Network: "lab", Port: "vnet1", KernelCounted: true, Refused: 7, Verdicts: verdicts{
				{Action: responder.Reply, Reason: responder.SelfProbe}:    3,
				{Action: responder.Drop, Reason: responder.SelfProbe}:     1,
				{Action: responder.Drop, Reason: responder.SpoofedSender}: 4,
				{Action: responder.Pass, Reason: responder.SpoofedSource}: 5,
			}},
			{Network: "lab", Port: "vnet2", KernelCounted: true},
			{Network: "quiet", Port: "eth1"},
		},
		Latency: fabric.Latency{
			Bounds: []time.Duration{10 * time.Microsecond, time.Millisecond},
			Counts: []uint64{4, 1, 2}, Sum: 3 * time.Second / 2,
		},
		Troubles:  fabric.Troubles{Reinstalled: 1, LostFrames: 2, LostEvents: 3, Strays: 4},
		Records:   5,
		Forgotten: 6,
		Reload: reload.Status{
			Generation: 8, Failures: 9, Loaded: time.Unix(1_600_000_000, 500_000_000), LastError: errors.New("bad"),
		},
		Etcd: &store.Health{Err: errors.New("away"), Current: time.Unix(1_600_000_001, 0)},
	}
}

// exported has the values of the sample, sorted by name.
const exported = `
arpfabric_answer_duration_seconds_bucket{le="1e-05"} 4
arpfabric_answer_duration_seconds_bucket{le="0.001"} 5
arpfabric_answer_duration_seconds_bucket{le="+Inf"} 7
arpfabric_answer_duration_seconds_sum 1.5
arpfabric_answer_duration_seconds_count 7
arpfabric_bindings{network="lab"} 1
arpfabric_bindings{network="quiet"} 1
arpfabric_build_info{goversion="go1.26",revision="abc",version="v1.2.3"} 1
arpfabric_config_generation 8
arpfabric_config_last_reload_success_timestamp_seconds 1.6000000005e+09
arpfabric_config_last_reload_successful 0
arpfabric_config_reload_failures_total 9
arpfabric_datapath_info{in_force="kernel"} 1
arpfabric_etcd_current_timestamp_seconds 1.600000001e+09
arpfabric_etcd_usable 0
arpfabric_event_losses_total 3
arpfabric_frame_losses_total 2
arpfabric_frames_total{action="drop",network="lab",port="vnet1",reason="self-probe"} 1
arpfabric_frames_total{action="drop",network="lab",port="vnet1",reason="spoofed-sender"} 4
arpfabric_frames_total{action="pass",network="lab",port="vnet1",reason="spoofed-source"} 5
arpfabric_frames_total{action="reply",network="lab",port="br0",reason="answered"} 2
arpfabric_frames_total{action="reply",network="lab",port="vnet1",reason="self-probe"} 3
arpfabric_guard_reinstalls_total 1
arpfabric_network_info{attach="bridge br0",guard="full",mode="vpc",network="lab"} 1
arpfabric_network_info{attach="interface eth1",guard="none",mode="classic",network="quiet"} 1
arpfabric_ports{network="lab"} 2
arpfabric_ports{network="quiet"} 1
arpfabric_refused_frames_total{network="lab",port="vnet1"} 7
arpfabric_refused_frames_total{network="lab",port="vnet2"} 0
arpfabric_source_bindings{network="lab",source="dnsmasq_leases /leases"} 1
arpfabric_source_bindings{network="lab",source="kea_leases /leases4.csv"} 0
arpfabric_source_last_read_successful{network="lab",source="dnsmasq_leases /leases"} 0
arpfabric_source_last_read_successful{network="lab",source="kea_leases /leases4.csv"} 1
arpfabric_stray_frames_total 4
arpfabric_violation_frames_total{network="lab",port="vnet1"} 9
arpfabric_violation_frames_total{network="lab",port="vnet2"} 0
arpfabric_violation_frames_total{network="quiet",port="eth1"} 0
arpfabric_violation_records 5
arpfabric_violation_records_forgotten_total 6
`

// fixed returns a read function that always returns s.
func fixed(s Snapshot) func() Snapshot { return func() Snapshot { return s } }

// gather gathers from a collector alone, and checks that it exports the metrics that it describes.
func gather(t *testing.T, f Snapshot) []*dto.MetricFamily {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(collector{fixed(f)})
	families, err := r.Gather()
	labtest.Must(t, err)
	return families
}

func TestCollector(t *testing.T) {
	var lines []string
	for line := range strings.Lines(string(serve(t, newRegistry(fixed(sample(t)))))) {
		if strings.HasPrefix(line, "arpfabric_") {
			lines = append(lines, line)
		}
	}
	if diff := cmp.Diff(exported, "\n"+strings.Join(lines, "")); diff != "" {
		t.Errorf("exported (-want +got):\n%s", diff)
	}
	if described, got := len(allMetrics), len(gather(t, sample(t))); described != got {
		t.Errorf("%d metrics are described, and %d exported", described, got)
	}
}

func TestLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(newRegistry(fixed(sample(t))))
	labtest.Must(t, err)
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestPortsChange checks that deleted ports have no series.
func TestPortsChange(t *testing.T) {
	f := sample(t)
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(collector{func() Snapshot { return f }})
	for _, want := range []int{2, 1, 2} {
		f.Ports = f.Ports[:1+want]
		families, err := r.Gather()
		labtest.Must(t, err)
		if got := len(find(families, "arpfabric_refused_frames_total").GetMetric()); got != want {
			t.Errorf("%d ports with refused frames, want %d", got, want)
		}
	}
}

func find(families []*dto.MetricFamily, name string) *dto.MetricFamily {
	i := slices.IndexFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == name })
	if i < 0 {
		return nil
	}
	return families[i]
}

// TestInvalidUTF8 checks a port whose name is not UTF-8: the kernel accepts such a name.
func TestInvalidUTF8(t *testing.T) {
	f := sample(t)
	f.Ports = []fabric.PortCounts{{Network: "lab", Port: "v\xff\xfe\"\n", KernelCounted: true}}
	label := find(gather(t, f), "arpfabric_refused_frames_total").GetMetric()[0].GetLabel()[1]
	if want := "v\uFFFD\"\n"; label.GetValue() != want {
		t.Errorf("port is %q, want %q", label.GetValue(), want)
	}
}

// TestWithoutNetworks checks that all metrics without a network label exist from the start, those of etcd where it is used.
func TestWithoutNetworks(t *testing.T) {
	var want []string
	for _, family := range gather(t, sample(t)) {
		if !labelsOf(family)["network"] {
			want = append(want, family.GetName())
		}
	}
	var got []string
	for _, family := range gather(t, Snapshot{Reload: reload.Status{Loaded: time.Now()}, Etcd: &store.Health{}}) {
		got = append(got, family.GetName())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

// A tableRow describes a metric in docs/metrics.md: its name, type and labels, and its meaning.
var tableRow = regexp.MustCompile("(?m)^\\| `(arpfabric_\\w+)` \\| (\\w+) \\| ([^|]*?) ?\\| [^|]+ \\|$")

// TestDocumentation checks that the table in docs/metrics.md has each metric with its type and labels.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	labtest.Must(t, err)
	written := map[string]string{}
	for _, match := range tableRow.FindAllStringSubmatch(string(page), -1) {
		if _, twice := written[match[1]]; twice {
			t.Errorf("%s has two rows", match[1])
		}
		written[match[1]] = match[2] + ": " + strings.ReplaceAll(match[3], "`", "")
	}
	actual := map[string]string{}
	for _, family := range gather(t, sample(t)) {
		labels := slices.Sorted(maps.Keys(labelsOf(family)))
		actual[family.GetName()] = strings.ToLower(family.GetType().String()) + ": " + strings.Join(labels, ", ")
	}
	if diff := cmp.Diff(actual, written); diff != "" {
		t.Errorf("docs/metrics.md (-actual +written):\n%s", diff)
	}
}

func labelsOf(family *dto.MetricFamily) map[string]bool {
	labels := map[string]bool{}
	for _, m := range family.GetMetric() {
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = true
		}
	}
	return labels
}

// BenchmarkGather measures a scrape without the queries to the kernel.
func BenchmarkGather(b *testing.B) {
	for _, ports := range []int{10, 1000} {
		b.Run(fmt.Sprintf("ports=%d", ports), func(b *testing.B) {
			r := prometheus.NewRegistry()
			r.MustRegister(collector{fixed(manyPorts(ports))})
			for b.Loop() {
				if _, err := r.Gather(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func manyPorts(n int) Snapshot {
	var f Snapshot
	counts := verdicts{
		{Action: responder.Reply, Reason: responder.Answered}:     1,
		{Action: responder.Drop, Reason: responder.UnknownTarget}: 1,
		{Action: responder.Drop, Reason: responder.SpoofedSender}: 1,
	}
	for i := range n {
		port := fabric.PortCounts{Network: "lab", Port: fmt.Sprintf("vnet%d", i), KernelCounted: true, Verdicts: counts}
		f.Ports = append(f.Ports, port)
	}
	return f
}
