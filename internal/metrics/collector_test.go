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
	"github.com/arpfabric/arpfabric/internal/reload"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type verdicts = map[responder.Verdict]uint64

// sample has a value for each metric.
func sample(t *testing.T) Figures {
	t.Helper()
	addr := netip.MustParseAddr("10.239.0.1")
	binding := responder.Binding{First: addr, Last: addr, MAC: responder.MAC{2, 0, 0, 0, 0, 1}}
	registry, err := responder.NewRegistry(slices.Values([]responder.Binding{binding}))
	must(t, err)
	return Figures{
		Build: build.Info{Version: "v1.2.3", Revision: "abc", Go: "go1.26"},
		Networks: []config.Network{
			{
				Name: "lab", Mode: config.VPC, Attach: config.Attachment{Bridge: "br0"},
				Guard: config.GuardFull, Registry: registry,
			},
			{
				Name: "quiet", Mode: config.Classic, Attach: config.Attachment{Interface: "eth1"},
				Guard: config.GuardNone, Registry: registry,
			},
		},
		Ports: []fabric.PortCounts{
			{Network: "lab", Port: "br0", Kind: fabric.Host, Verdicts: verdicts{
				{Action: responder.Reply, Reason: responder.Answered}: 2,
			}},
			{Network: "lab", Port: "vnet1", Tallied: true, Refused: 7, Verdicts: verdicts{
				{Action: responder.Reply, Reason: responder.SelfProbe}:    3,
				{Action: responder.Drop, Reason: responder.SelfProbe}:     1,
				{Action: responder.Drop, Reason: responder.SpoofedSender}: 4,
				{Action: responder.Pass, Reason: responder.SpoofedSource}: 5,
			}},
			{Network: "lab", Port: "vnet2", Tallied: true},
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
	}
}

// exported has the values of the sample, in the order of their names.
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
arpfabric_stray_frames_total 4
arpfabric_violation_frames_total{network="lab",port="vnet1"} 9
arpfabric_violation_frames_total{network="lab",port="vnet2"} 0
arpfabric_violation_frames_total{network="quiet",port="eth1"} 0
arpfabric_violation_records 5
arpfabric_violation_records_forgotten_total 6
`

// fixed is a read function for figures that stay as they are.
func fixed(f Figures) func() Figures { return func() Figures { return f } }

// gather gathers from a collector alone, which is held to what it has described.
func gather(t *testing.T, f Figures) []*dto.MetricFamily {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(collector{fixed(f)})
	families, err := r.Gather()
	must(t, err)
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
	if described, got := len(all), len(gather(t, sample(t))); described != got {
		t.Errorf("%d metrics are described, and %d exported", described, got)
	}
}

func TestNamesKeepPrometheusRules(t *testing.T) {
	problems, err := testutil.GatherAndLint(newRegistry(fixed(sample(t))))
	must(t, err)
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestPortsComeAndGo holds that there are no series of ports that there are not.
func TestPortsComeAndGo(t *testing.T) {
	f := sample(t)
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(collector{func() Figures { return f }})
	for _, want := range []int{2, 1, 2} {
		f.Ports = f.Ports[:1+want]
		families, err := r.Gather()
		must(t, err)
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

// TestNamesOfAnyBytes: the kernel takes any for the name of an interface.
func TestNamesOfAnyBytes(t *testing.T) {
	f := sample(t)
	f.Ports = []fabric.PortCounts{{Network: "lab", Port: "v\xff\xfe\"\n", Tallied: true}}
	label := find(gather(t, f), "arpfabric_refused_frames_total").GetMetric()[0].GetLabel()[1]
	if want := "v\uFFFD\"\n"; label.GetValue() != want {
		t.Errorf("port is %q, want %q", label.GetValue(), want)
	}
}

// TestOfNoNetwork holds that all is there from the start that is not about a network.
func TestOfNoNetwork(t *testing.T) {
	var want []string
	for _, family := range gather(t, sample(t)) {
		if !labelsOf(family)["network"] {
			want = append(want, family.GetName())
		}
	}
	var got []string
	for _, family := range gather(t, Figures{Reload: reload.Status{Loaded: time.Now()}}) {
		got = append(got, family.GetName())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

// A tableRow describes a metric in docs/metrics.md: its name, type and labels, and its meaning.
var tableRow = regexp.MustCompile("(?m)^\\| `(arpfabric_\\w+)` \\| (\\w+) \\| ([^|]*?) ?\\| [^|]+ \\|$")

// TestDocumentation holds that the page has each metric, as it is.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	must(t, err)
	written := map[string]string{}
	for _, match := range tableRow.FindAllStringSubmatch(string(page), -1) {
		if _, twice := written[match[1]]; twice {
			t.Errorf("%s is there twice", match[1])
		}
		written[match[1]] = match[2] + ": " + strings.ReplaceAll(match[3], "`", "")
	}
	are := map[string]string{}
	for _, family := range gather(t, sample(t)) {
		labels := slices.Sorted(maps.Keys(labelsOf(family)))
		are[family.GetName()] = strings.ToLower(family.GetType().String()) + ": " + strings.Join(labels, ", ")
	}
	if diff := cmp.Diff(are, written); diff != "" {
		t.Errorf("docs/metrics.md (-is +written):\n%s", diff)
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

// BenchmarkGather is what a scrape costs beside what the kernel is asked for.
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

func manyPorts(n int) Figures {
	var f Figures
	counts := verdicts{
		{Action: responder.Reply, Reason: responder.Answered}:     1,
		{Action: responder.Drop, Reason: responder.UnknownTarget}: 1,
		{Action: responder.Drop, Reason: responder.SpoofedSender}: 1,
	}
	for i := range n {
		port := fabric.PortCounts{Network: "lab", Port: fmt.Sprintf("vnet%d", i), Tallied: true, Verdicts: counts}
		f.Ports = append(f.Ports, port)
	}
	return f
}
