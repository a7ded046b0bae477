package violation_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/internal/violation"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

var (
	guestMAC   = registry.MAC{0x02, 0, 0x06, 0xde, 0x54, 0xa8}
	gatewayMAC = registry.MAC{0x02, 0, 0, 0xde, 0x54, 0xa8}

	gatewayIP  = netip.MustParseAddr("10.239.0.1")
	otherIP    = netip.MustParseAddr("10.239.0.102")
	strangerIP = netip.MustParseAddr("10.239.0.50")
	noIP       = netip.IPv4Unspecified()
)

// spoof is a guest's use of the gateway's address.
var spoof = violation.Violation{
	Network: "lab", Port: "vnet2", Reason: responder.SpoofedSender,
	SenderIdentity: responder.SenderIdentity{MAC: guestMAC, Sender: gatewayIP, Target: otherIP},
}

// with returns a changed copy of spoof.
func with(change func(*violation.Violation)) violation.Violation {
	v := spoof
	change(&v)
	return v
}

// forged returns the n-th of many violations, with an address that has no binding.
func forged(n int) violation.Violation {
	return with(func(v *violation.Violation) {
		v.Reason = responder.UnregisteredSender
		v.Sender = netip.AddrFrom4([4]byte{172, 16, byte(n >> 8), byte(n)})
	})
}

// on returns v on the n-th of many ports.
func on(v violation.Violation, n int) violation.Violation {
	v.Port = fmt.Sprintf("tap%d", n)
	return v
}

// A bench is a table with a clock that the test sets and a log that it reads.
type bench struct {
	*violation.Table
	registry *registry.Registry
	time     time.Time
	log      bytes.Buffer
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	b.registry = registrytest.New(t, registry.Binding{
		First: gatewayIP, Last: gatewayIP, MAC: gatewayMAC, Name: "gateway", Port: "vnet1",
		Origin: registry.Origin{Source: "lab.yaml", Line: 7},
	})
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	log := slog.New(slog.NewTextHandler(&b.log, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	b.Table = violation.New(log, func() time.Time { return b.time })
	return b
}

func (b *bench) add(violations ...violation.Violation) {
	for _, v := range violations {
		b.Add(v, b.registry)
	}
}

// lines returns the lines that were logged since its last call.
func (b *bench) lines() []string {
	lines := strings.Split(b.log.String(), "\n")
	b.log.Reset()
	return lines[:len(lines)-1]
}

// counts returns the number of frames of each record.
func (b *bench) counts() map[violation.Violation]uint64 {
	counts := map[violation.Violation]uint64{}
	for _, r := range b.All() {
		counts[r.Violation] = r.Count
	}
	return counts
}

// checkLines expects exactly these lines, as warnings, since the last call of it or of lines.
func (b *bench) checkLines(t *testing.T, want ...string) {
	t.Helper()
	for i := range want {
		want[i] = "level=WARN " + want[i]
	}
	if diff := cmp.Diff(strings.Join(want, "\n"), strings.Join(b.lines(), "\n")); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// expectLine expects a line with word that ends with end, since the last call of lines.
func (b *bench) expectLine(t *testing.T, word, end string) {
	t.Helper()
	lines := b.lines()
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, word) && strings.HasSuffix(l, end) }) {
		t.Errorf("no line has %s and %s:\n%s", word, end, strings.Join(lines, "\n"))
	}
}

func TestIs(t *testing.T) {
	want := []string{
		"invalid-sender-mac", "sender-mac-mismatch", "invalid-sender-ip", "unregistered-sender", "spoofed-sender",
		"conflict-probe", "not-holder", "unregistered-mac", "unregistered-source", "spoofed-source",
	}
	var got []string
	for reason := range responder.Reasons() {
		if violation.Is(reason) {
			got = append(got, reason.String())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

// TestLine expects a line with the guest's port, the owner of the identity, and the action.
func TestLine(t *testing.T) {
	const owner = `owner=02:00:00:de:54:a8 owner_name=gateway owner_port=vnet1 binding=lab.yaml:7`
	tests := []struct {
		v    violation.Violation
		want string
	}{
		{spoof, `msg="guest uses another host's address" network=lab port=vnet2 mac=02:00:06:de:54:a8 address=10.239.0.1 ` +
			`target=10.239.0.102 ` + owner + ` action=drop reason=spoofed-sender`},
		{
			with(func(v *violation.Violation) {
				v.Reason, v.Action = responder.ConflictProbe, responder.Reply
				v.Sender, v.Target = noIP, gatewayIP
			}),
			`msg="guest probes for another host's address" network=lab port=vnet2 mac=02:00:06:de:54:a8 ` +
				`address=10.239.0.1 ` + owner + ` action=reply reason=conflict-probe`,
		},
		{
			with(func(v *violation.Violation) { v.Reason, v.Sender = responder.UnregisteredSource, strangerIP }),
			`msg="guest uses an address without a binding" network=lab port=vnet2 mac=02:00:06:de:54:a8 ` +
				`address=10.239.0.50 target=10.239.0.102 action=drop reason=unregistered-source`,
		},
		{
			with(func(v *violation.Violation) {
				v.Reason, v.SenderIdentity = responder.UnregisteredMAC, responder.SenderIdentity{MAC: guestMAC}
			}),
			`msg="guest uses a MAC without a binding for its port" network=lab port=vnet2 mac=02:00:06:de:54:a8 ` +
				`action=drop reason=unregistered-mac`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.v.Reason.String(), func(t *testing.T) {
			b := newBench(t)
			b.add(tt.v)
			b.checkLines(t, tt.want)
		})
	}
}

// TestLineOnThePage expects docs/decision.md to show the actual line, which is wrapped there.
func TestLineOnThePage(t *testing.T) {
	b := newBench(t)
	b.registry = registrytest.New(t, registry.Binding{
		First: otherIP, Last: otherIP, MAC: registry.MAC{0x02, 0, 0x07, 0xde, 0x54, 0xa8}, Name: "db", Port: "vnet3",
		Origin: registry.Origin{Source: "/etc/arpfabric/arpfabric.yaml", Line: 8},
	})
	b.add(violation.Violation{
		Network: "lab", Port: "vnet4", Reason: responder.SpoofedSource,
		SenderIdentity: responder.SenderIdentity{
			MAC: registry.MAC{0x02, 0, 0x09, 0xde, 0x54, 0xa8}, Sender: otherIP, Target: netip.MustParseAddr("10.239.0.101"),
		},
	})
	page, err := os.ReadFile("../../docs/decision.md")
	if err != nil {
		t.Fatal(err)
	}
	if line := b.lines()[0]; !strings.Contains(strings.ReplaceAll(string(page), "\n  ", " "), "```\n"+line+"\n```") {
		t.Errorf("docs/decision.md does not show %s", line)
	}
}

func TestSummarise(t *testing.T) {
	b := newBench(t)
	const line = `msg="guest uses another host's address" network=lab port=vnet2 mac=02:00:06:de:54:a8 address=10.239.0.1 ` +
		`target=10.239.0.102 owner=02:00:00:de:54:a8 owner_name=gateway owner_port=vnet1 binding=lab.yaml:7 ` +
		`action=drop reason=spoofed-sender`
	b.add(spoof)
	b.checkLines(t, line)
	b.Summarise()
	b.checkLines(t)
	b.add(spoof, spoof, spoof)
	b.checkLines(t)
	b.Summarise()
	b.checkLines(t, line+" frames=3 total=4")
	b.Summarise()
	b.checkLines(t)
	b.add(spoof)
	b.Summarise()
	b.checkLines(t, line+" frames=1 total=5")
}

// TestOwnerIsTheLatest removes the binding, and binds the address to another host, between frames.
func TestOwnerIsTheLatest(t *testing.T) {
	b := newBench(t)
	b.add(spoof)
	b.registry = registrytest.New(t, registry.Binding{First: gatewayIP, Last: gatewayIP, MAC: registry.MAC{0x02, 0xbb}})
	b.add(spoof)
	if got := b.All()[0].Owner; got.MAC != (registry.MAC{0x02, 0xbb}) || got.Name != "" {
		t.Errorf("the owner is %+v", got)
	}
	b.registry = registrytest.New(t)
	b.add(spoof)
	if got := b.All()[0].Owner; got != (registry.Binding{}) {
		t.Errorf("the owner is %+v", got)
	}
}

// TestNewLinesAreLimited floods the table with new addresses from one port.
func TestNewLinesAreLimited(t *testing.T) {
	const flood = violation.MaxNewLinesOfPort + 15
	b := newBench(t)
	for n := range flood {
		b.time = b.time.Add(time.Second/flood - 1)
		b.add(forged(n))
	}
	if got := len(b.lines()); got != violation.MaxNewLinesOfPort {
		t.Fatalf("%d lines in a second; want %d", got, violation.MaxNewLinesOfPort)
	}
	b.time = b.time.Add(time.Second)
	b.add(forged(flood), forged(flood+1))
	lines := b.lines()
	if len(lines) != 3 || !strings.HasSuffix(lines[0], "not_logged=15") || !strings.Contains(lines[1], "172.16.0.20") {
		t.Errorf("the next second begins with\n%s", strings.Join(lines, "\n"))
	}
	for n := range flood {
		b.add(forged(1000 + n))
	}
	b.lines()
	b.Summarise()
	lines = b.lines()
	if !strings.HasSuffix(lines[0], "not_logged=17") {
		t.Errorf("the summary begins with %q", lines[0])
	}
	// The summary lists the violations whose lines were suppressed.
	if got := len(lines) - 1; got != 15+17 {
		t.Errorf("%d lines of violations; want %d", got, 15+17)
	}
	b.Summarise()
	b.checkLines(t)
}

// TestNewLinesOfAllPortsAreLimited has a new violation on each of more ports than there are lines a second.
func TestNewLinesOfAllPortsAreLimited(t *testing.T) {
	b := newBench(t)
	for n := range violation.MaxNewLines + 2 {
		b.add(on(spoof, n))
	}
	if got := len(b.lines()); got != violation.MaxNewLines {
		t.Fatalf("%d lines in a second; want %d", got, violation.MaxNewLines)
	}
	b.time = b.time.Add(time.Second)
	b.add(forged(0))
	if lines := b.lines(); len(lines) != 2 || !strings.HasSuffix(lines[0], "not_logged=2") {
		t.Errorf("the next second begins with\n%s", strings.Join(lines, "\n"))
	}
}

// TestFloodHidesNobody floods the table from one port for minutes, while another port repeats one violation.
func TestFloodHidesNobody(t *testing.T) {
	const minutes, perSecond = 5, 200
	b := newBench(t)
	steady := on(spoof, 7)
	for second := range minutes * 60 {
		for n := range perSecond {
			b.add(forged(second*perSecond + n))
			b.time = b.time.Add(time.Second / perSecond)
		}
		b.add(steady)
		if second == 0 {
			b.expectLine(t, "port=tap7", "reason=spoofed-sender")
		}
		if second%60 == 59 {
			b.Summarise()
			b.expectLine(t, "port=tap7", fmt.Sprintf("total=%d", second+1))
		}
	}
	if counts := b.counts(); counts[steady] != minutes*60 || len(counts) != violation.MaxRecords {
		t.Errorf("%d records, %d frames; want %d", len(counts), counts[steady], minutes*60)
	}
}

// TestSummaryIsShared has more violations on one port than a summary lists, and violations with fewer frames on others.
func TestSummaryIsShared(t *testing.T) {
	b := newBench(t)
	for n := range 2 * violation.MaxSummaryLines {
		b.add(forged(n), forged(n), forged(n))
	}
	b.add(on(spoof, 1), on(spoof, 1), on(spoof, 2), on(spoof, 2))
	for range 5 {
		b.add(on(forged(0), 2))
	}
	b.lines()
	b.Summarise()
	lines := b.lines()[1:] // without the line about suppressed lines
	if len(lines) != violation.MaxSummaryLines+1 {
		t.Fatalf("%d lines; want %d", len(lines), violation.MaxSummaryLines+1)
	}
	for i, want := range []string{"port=tap2", "port=vnet2", "port=tap1", "port=vnet2", "port=tap2", "port=vnet2"} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d is %s; want %s", i+1, lines[i], want)
		}
	}
}

// TestSummaryIsBounded has more violations than a summary lists, the later ones with more frames.
func TestSummaryIsBounded(t *testing.T) {
	const rest = 3
	b := newBench(t)
	for n := range violation.MaxSummaryLines + rest {
		b.time = b.time.Add(time.Second)
		for range n + 2 {
			b.add(forged(n))
		}
	}
	b.lines()
	b.Summarise()
	lines := b.lines()
	if len(lines) != violation.MaxSummaryLines+1 {
		t.Fatalf("%d lines; want %d", len(lines), violation.MaxSummaryLines+1)
	}
	if !strings.HasSuffix(lines[0], "frames=53 total=54") || !strings.HasSuffix(lines[49], "frames=4 total=5") {
		t.Errorf("from\n%s\nto\n%s", lines[0], lines[49])
	}
	if want := "violations=3 frames=6 forgotten=0"; !strings.HasSuffix(lines[50], want) {
		t.Errorf("the last line is %s; want %s", lines[50], want)
	}
	b.Summarise()
	b.checkLines(t)
}

func TestFull(t *testing.T) {
	b := newBench(t)
	for n := range violation.MaxRecords {
		b.add(forged(n))
	}
	if got := b.Forgotten(); got != 0 || len(b.All()) != violation.MaxRecords {
		t.Fatalf("%d forgotten, %d records", got, len(b.All()))
	}
	b.add(forged(0), forged(violation.MaxRecords)) // 0 again, so that 1 is the oldest
	if counts := b.counts(); len(counts) != violation.MaxRecords || counts[forged(0)] != 2 || counts[forged(1)] != 0 ||
		counts[forged(2)] != 1 || counts[forged(violation.MaxRecords)] != 1 {
		t.Errorf("%d records, wrong ones", len(counts))
	}
	if got := b.Forgotten(); got != 1 {
		t.Errorf("%d forgotten", got)
	}
	b.Summarise()
	if lines := b.lines(); !strings.HasSuffix(lines[len(lines)-1], "forgotten=1") {
		t.Errorf("the summary ends with %s", lines[len(lines)-1])
	}
	b.Summarise()
	b.checkLines(t)
	b.time = b.time.Add(time.Hour)
	b.add(forged(1)) // forgotten, so new again
	if lines := b.lines(); len(lines) != 1 || !strings.Contains(lines[0], "address=172.16.0.1 ") {
		t.Errorf("log is\n%s", strings.Join(lines, "\n"))
	}
}

// TestRecordsAreShared floods a table from two ports while a third has some records.
func TestRecordsAreShared(t *testing.T) {
	const few = 100
	b := newBench(t)
	for n := range few {
		b.add(on(forged(n), 3))
	}
	for n := range 2 * violation.MaxRecords {
		b.add(on(forged(n), 1))
	}
	for n := range 2 * violation.MaxRecords {
		b.add(on(forged(n), 2))
	}
	records := map[string]int{}
	for v := range b.counts() {
		records[v.Port]++
	}
	const half = (violation.MaxRecords - few) / 2
	if want := map[string]int{"tap1": half, "tap2": half, "tap3": few}; !maps.Equal(records, want) {
		t.Errorf("records are %v; want %v", records, want)
	}
	if got := b.Forgotten(); got != 4*violation.MaxRecords-2*half {
		t.Errorf("%d forgotten", got)
	}
	latest := 2*violation.MaxRecords - 1
	if counts := b.counts(); counts[on(forged(latest), 1)] != 1 || counts[on(forged(latest), 2)] != 1 {
		t.Error("the latest of a port is forgotten")
	}
}

// TestManyPorts has more ports than records, in two networks, and expects the oldest to be replaced.
func TestManyPorts(t *testing.T) {
	const more = 10
	b := newBench(t)
	for n := range violation.MaxRecords + more {
		b.time = b.time.Add(time.Millisecond)
		v := on(spoof, n/2)
		v.Network = fmt.Sprintf("lab%d", n%2)
		b.add(v)
	}
	counts := b.counts()
	if len(counts) != violation.MaxRecords || b.Forgotten() != more {
		t.Fatalf("%d records, %d forgotten", len(counts), b.Forgotten())
	}
	for v := range counts {
		if n, _ := strconv.Atoi(strings.TrimPrefix(v.Port, "tap")); n < more/2 {
			t.Errorf("%s of %s is there", v.Port, v.Network)
		}
	}
	b.time = b.time.Add(time.Second)
	b.add(on(forged(1), more)) // the port replaces its own record, because no port has more
	if counts := b.counts(); counts[on(forged(1), more)] != 1 || len(counts) != violation.MaxRecords {
		t.Errorf("%d records, without the latest", len(counts))
	}
}

func TestAll(t *testing.T) {
	start := newBench(t).time
	b := newBench(t)
	in := func(network, port string) violation.Violation {
		return with(func(v *violation.Violation) { v.Network, v.Port = network, port })
	}
	first := []violation.Violation{in("b", "vnet1"), in("a", "vnet2"), in("a", "vnet1")}
	b.add(first[:2]...)
	b.time = b.time.Add(time.Minute)
	b.add(first[1:]...)
	owner, _ := b.registry.Lookup(gatewayIP)
	want := []violation.Record{
		{first[2], owner, start.Add(time.Minute), start.Add(time.Minute), 1},
		{first[1], owner, start, start.Add(time.Minute), 2},
		{first[0], owner, start, start, 1},
	}
	if got := b.All(); !slices.Equal(got, want) {
		t.Errorf("records are\n%+v\nwant\n%+v", got, want)
	}
}

// TestOrder changes one field at a time, and expects a record for each change, in order.
func TestOrder(t *testing.T) {
	sorted := []violation.Violation{
		spoof,
		with(func(v *violation.Violation) { v.Action = responder.Pass }),
		with(func(v *violation.Violation) { v.Target = netip.MustParseAddr("10.239.0.103") }),
		with(func(v *violation.Violation) { v.Sender = otherIP }),
		with(func(v *violation.Violation) { v.MAC[5]++ }),
		with(func(v *violation.Violation) { v.Reason = responder.SpoofedSource }),
		with(func(v *violation.Violation) { v.Port = "vnet3" }),
		with(func(v *violation.Violation) { v.Network = "test" }),
	}
	b := newBench(t)
	for _, i := range []int{3, 0, 6, 1, 7, 5, 2, 4} {
		b.add(sorted[i])
	}
	var got []violation.Violation
	for _, r := range b.All() {
		got = append(got, r.Violation)
	}
	if !slices.Equal(got, sorted) {
		t.Errorf("records are\n%+v\nwant\n%+v", got, sorted)
	}
}

// TestClockSetBack sets the clock back by an hour, and expects the time before and after that to count.
func TestClockSetBack(t *testing.T) {
	b := newBench(t)
	start := b.time
	b.add(spoof)
	b.time = start.Add(10 * time.Second)
	b.add(spoof)
	b.time = start.Add(-time.Hour)
	b.add(spoof)
	b.time = start.Add(-time.Hour + 5*time.Second)
	b.add(spoof)
	r := b.All()[0]
	if r.Count != 4 || r.Last != b.time || r.Last.Sub(r.First) != 15*time.Second {
		t.Errorf("%d frames from %s to %s; want 4 in the 15 s until %s", r.Count, r.First, r.Last, b.time)
	}
	b.lines()
	for n := range violation.MaxNewLinesOfPort + 1 {
		b.add(forged(n))
	}
	b.time = b.time.Add(-time.Hour)
	b.add(forged(100))
	if got := len(b.lines()); got != violation.MaxNewLinesOfPort {
		t.Errorf("%d new lines; want %d", got, violation.MaxNewLinesOfPort)
	}
	b.time = b.time.Add(time.Second)
	b.add(forged(101))
	if lines := b.lines(); len(lines) != 2 || !strings.HasSuffix(lines[0], "not_logged=2") {
		t.Errorf("a second later the log is\n%s", strings.Join(lines, "\n"))
	}
}

func TestAddAllocatesNothing(t *testing.T) {
	b := newBench(t)
	b.add(spoof)
	if allocs := testing.AllocsPerRun(100, func() { b.Add(spoof, b.registry) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// TestConcurrent counts frames from several goroutines while others read and summarise.
func TestConcurrent(t *testing.T) {
	const goroutines, frames = 4, 2000
	b := newBench(t)
	table := violation.New(slog.New(slog.NewTextHandler(&b.log, nil)), time.Now)
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for n := range frames {
				table.Add(forged(n%100), b.registry)
				if n%500 == g {
					table.Summarise()
					table.All()
				}
			}
		})
	}
	all.Wait()
	var got uint64
	for _, r := range table.All() {
		got += r.Count
		if r.Last.Before(r.First) {
			t.Errorf("%+v ends before it starts", r)
		}
	}
	if got != goroutines*frames || table.Forgotten() != 0 {
		t.Errorf("%d frames, %d records forgotten", got, table.Forgotten())
	}
}

// BenchmarkAdd adds a known violation, and new ones to a full table, on one port and on many.
func BenchmarkAdd(b *testing.B) {
	for _, size := range []struct{ kinds, ports int }{{1, 1}, {3 * violation.MaxRecords, 1}, {3 * violation.MaxRecords, 1000}} {
		b.Run(fmt.Sprintf("kinds=%d ports=%d", size.kinds, size.ports), func(b *testing.B) {
			bench := newBench(b)
			violations := make([]violation.Violation, size.kinds)
			for n := range violations {
				violations[n] = on(forged(n), n%size.ports)
			}
			table := violation.New(slog.New(slog.DiscardHandler), time.Now)
			b.ReportAllocs()
			for n := 0; b.Loop(); n = (n + 1) % size.kinds {
				table.Add(violations[n], bench.registry)
			}
		})
	}
}

// TestTimesDoNotDrift checks that a record's times are the same in each list, although the two readings of a clock of which
// they are computed never have the same distance.
func TestTimesDoNotDrift(t *testing.T) {
	b := newBench(t)
	b.add(spoof)
	first := b.time
	b.Restore([]violation.Record{{Violation: forged(1), First: first.Add(-time.Hour), Last: first.Add(-time.Minute), Count: 2}})
	for range 1000 {
		b.time = b.time.Add(time.Hour)
		b.add(spoof)
		all := b.All()
		if !all[0].First.Equal(first.Add(-time.Hour)) || !all[1].First.Equal(first) || !all[1].Last.Equal(b.time) {
			t.Fatalf("at %v: %v", b.time, all)
		}
	}
	clock := violation.New(slog.New(slog.DiscardHandler), time.Now)
	clock.Add(spoof, b.registry)
	at := clock.All()[0].First
	for range 1000 {
		if now := clock.All()[0].First; !now.Equal(at) {
			t.Fatalf("%v, and before %v", now, at)
		}
	}
}

func TestClear(t *testing.T) {
	b := newBench(t)
	elsewhere := with(func(v *violation.Violation) { v.Network = "other" })
	b.add(spoof, spoof, forged(1), on(spoof, 1), elsewhere)
	b.lines()
	if n := b.Clear(func(r violation.Record) bool { return r.Network == "lab" && r.Port == "vnet2" }); n != 2 {
		t.Errorf("%d records were cleared, want 2", n)
	}
	want := map[violation.Violation]uint64{on(spoof, 1): 1, elsewhere: 1}
	if diff := cmp.Diff(want, b.counts()); diff != "" || b.Forgotten() != 0 {
		t.Errorf("%d forgotten, records (-want +got):\n%s", b.Forgotten(), diff)
	}
	b.add(spoof)
	if lines := b.lines(); len(lines) != 1 {
		t.Errorf("one that continues is logged as %q", lines)
	}
	for range 2 {
		b.Clear(func(violation.Record) bool { return true })
		if b.Len() != 0 {
			t.Errorf("%d records are left", b.Len())
		}
	}
	b.add(spoof)
}

// TestRestore checks that a table continues another one: the same records, of which nothing is logged again.
func TestRestore(t *testing.T) {
	before := newBench(t)
	before.add(spoof, spoof)
	before.time = before.time.Add(time.Minute)
	before.add(forged(1), spoof)
	b := newBench(t)
	b.time = before.time.Add(time.Hour)
	b.Restore(before.All())
	if want, got := before.All(), b.All(); !slices.Equal(want, got) {
		t.Errorf("records\n%v\nwant\n%v", got, want)
	}
	b.Summarise()
	b.checkLines(t)
	b.add(spoof)
	if n := b.counts()[spoof]; n != 4 {
		t.Errorf("%d frames, want 4", n)
	}
	b.Restore(before.All())
	if n := b.counts()[spoof]; n != 4 {
		t.Errorf("%d frames after it was restored once more, want 4", n)
	}
	if last := b.All()[1].Last; last.After(b.time) {
		t.Errorf("last seen at %v, in the future", last)
	}
}

// TestRestoreMany checks that the most recent records are restored, and times in the future count as now.
func TestRestoreMany(t *testing.T) {
	b := newBench(t)
	var many []violation.Record
	for n := range violation.MaxRecords + 10 {
		many = append(many, violation.Record{Violation: forged(n), First: b.time, Last: b.time.Add(time.Duration(n)), Count: 1})
	}
	b.Restore(many)
	counts := b.counts()
	if counts[forged(9)] != 0 || counts[forged(10)] != 1 || b.Len() != violation.MaxRecords || b.Forgotten() != 0 {
		t.Errorf("%d records, %d forgotten", b.Len(), b.Forgotten())
	}
	if last := b.All()[0].Last; last.After(b.time) {
		t.Errorf("last seen at %v, in the future", last)
	}
}
