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

	"github.com/arpfabric/arpfabric/internal/violation"
	"github.com/arpfabric/arpfabric/responder"
)

var (
	guestMAC   = responder.MAC{0x02, 0, 0x06, 0xde, 0x54, 0xa8}
	gatewayMAC = responder.MAC{0x02, 0, 0, 0xde, 0x54, 0xa8}

	gatewayIP  = netip.MustParseAddr("10.239.0.1")
	otherIP    = netip.MustParseAddr("10.239.0.102")
	strangerIP = netip.MustParseAddr("10.239.0.50")
	noIP       = netip.IPv4Unspecified()
)

// spoof is a guest that says it is the gateway.
var spoof = violation.Violation{
	Network: "lab", Port: "vnet2", Reason: responder.SpoofedSender,
	Claim: responder.Claim{MAC: guestMAC, Sender: gatewayIP, Target: otherIP},
}

// with returns a copy of spoof that change has been made to.
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

// A bench is a table with a clock of the test's and a log that it reads.
type bench struct {
	*violation.Table
	registry *responder.Registry
	time     time.Time
	log      bytes.Buffer
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	b.registry = registry(t, responder.Binding{
		First: gatewayIP, Last: gatewayIP, MAC: gatewayMAC, Name: "gateway", Port: "vnet1",
		Origin: responder.Origin{File: "lab.yaml", Line: 7},
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

func registry(t testing.TB, bindings ...responder.Binding) *responder.Registry {
	t.Helper()
	r, err := responder.NewRegistry(slices.Values(bindings))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (b *bench) add(violations ...violation.Violation) {
	for _, v := range violations {
		b.Add(v, b.registry)
	}
}

// lines returns what was logged since it was last called.
func (b *bench) lines() []string {
	lines := strings.Split(b.log.String(), "\n")
	b.log.Reset()
	return lines[:len(lines)-1]
}

// counts returns the frames of each record.
func (b *bench) counts() map[violation.Violation]uint64 {
	counts := map[violation.Violation]uint64{}
	for _, r := range b.All() {
		counts[r.Violation] = r.Count
	}
	return counts
}

// checkLines expects these lines, as warnings, since it or lines was last called.
func (b *bench) checkLines(t *testing.T, want ...string) {
	t.Helper()
	for i := range want {
		want[i] = "level=WARN " + want[i]
	}
	if diff := cmp.Diff(strings.Join(want, "\n"), strings.Join(b.lines(), "\n")); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// expectLine expects a line with these words, the last of them at its end, since lines was last called.
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
		"conflict-probe", "unregistered-mac", "unregistered-source", "spoofed-source",
	}
	var got []string
	for r := range responder.NumReasons {
		if reason := responder.Reason(r); violation.Is(reason) {
			got = append(got, reason.String())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

// TestLine expects a line that says where the guest is, whose identity it uses, and what was done.
func TestLine(t *testing.T) {
	const owner = `owner=02:00:00:de:54:a8 owner_name=gateway owner_port=vnet1 binding=lab.yaml:7`
	tests := []struct {
		v    violation.Violation
		want string
	}{
		{spoof, `msg="guest uses another's address" network=lab port=vnet2 mac=02:00:06:de:54:a8 address=10.239.0.1 ` +
			`target=10.239.0.102 ` + owner + ` action=drop reason=spoofed-sender`},
		{
			with(func(v *violation.Violation) {
				v.Reason, v.Action = responder.ConflictProbe, responder.Reply
				v.Sender, v.Target = noIP, gatewayIP
			}),
			`msg="guest is about to use another's address" network=lab port=vnet2 mac=02:00:06:de:54:a8 ` +
				`address=10.239.0.1 ` + owner + ` action=reply reason=conflict-probe`,
		},
		{
			with(func(v *violation.Violation) { v.Reason, v.Sender = responder.UnregisteredSource, strangerIP }),
			`msg="guest uses an address without a binding" network=lab port=vnet2 mac=02:00:06:de:54:a8 ` +
				`address=10.239.0.50 target=10.239.0.102 action=drop reason=unregistered-source`,
		},
		{
			with(func(v *violation.Violation) {
				v.Reason, v.Claim = responder.UnregisteredMAC, responder.Claim{MAC: guestMAC}
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

// TestLineOfTheREADME expects the line that the README shows, broken there to fit.
func TestLineOfTheREADME(t *testing.T) {
	b := newBench(t)
	b.registry = registry(t, responder.Binding{
		First: otherIP, Last: otherIP, MAC: responder.MAC{0x02, 0, 0x07, 0xde, 0x54, 0xa8}, Name: "db", Port: "vnet3",
		Origin: responder.Origin{File: "/etc/arpfabric/arpfabric.yaml", Line: 8},
	})
	b.add(violation.Violation{
		Network: "lab", Port: "vnet4", Reason: responder.SpoofedSource,
		Claim: responder.Claim{
			MAC: responder.MAC{0x02, 0, 0x09, 0xde, 0x54, 0xa8}, Sender: otherIP, Target: netip.MustParseAddr("10.239.0.101"),
		},
	})
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if line := b.lines()[0]; !strings.Contains(strings.ReplaceAll(string(readme), "\n  ", " "), "```\n"+line+"\n```") {
		t.Errorf("the README does not show %s", line)
	}
}

func TestSummarise(t *testing.T) {
	b := newBench(t)
	const line = `msg="guest uses another's address" network=lab port=vnet2 mac=02:00:06:de:54:a8 address=10.239.0.1 ` +
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

// TestOwnerIsTheLatest takes the binding away and gives it to another host between two frames.
func TestOwnerIsTheLatest(t *testing.T) {
	b := newBench(t)
	b.add(spoof)
	b.registry = registry(t, responder.Binding{First: gatewayIP, Last: gatewayIP, MAC: responder.MAC{0x02, 0xbb}})
	b.add(spoof)
	if got := b.All()[0].Owner; got.MAC != (responder.MAC{0x02, 0xbb}) || got.Name != "" {
		t.Errorf("the owner is %+v", got)
	}
	b.registry = registry(t)
	b.add(spoof)
	if got := b.All()[0].Owner; got != (responder.Binding{}) {
		t.Errorf("the owner is %+v", got)
	}
}

// TestNewLinesAreLimited floods the table with ever new addresses from one port.
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
	// Those that had no line of their own have one now.
	if got := len(lines) - 1; got != 15+17 {
		t.Errorf("%d lines of violations; want %d", got, 15+17)
	}
	b.Summarise()
	b.checkLines(t)
}

// TestNewLinesOfAllPortsAreLimited has a new violation on more ports than there are lines in a second.
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

// TestFloodHidesNobody lets one port flood the table for minutes, while another does the same thing every now and then.
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

// TestSummaryIsShared has more violations on one port than a summary lists, and fewer frames of others.
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
	lines := b.lines()[1:] // after what was not logged
	if len(lines) != violation.MaxSummaryLines+1 {
		t.Fatalf("%d lines; want %d", len(lines), violation.MaxSummaryLines+1)
	}
	for i, want := range []string{"port=tap2", "port=vnet2", "port=tap1", "port=vnet2", "port=tap2", "port=vnet2"} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %d is %s; want %s", i+1, lines[i], want)
		}
	}
}

// TestSummaryIsBounded lets more violations go on than a summary lists, the later ones more often.
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
		t.Fatalf("%d forgotten, %d there", got, len(b.All()))
	}
	b.add(forged(0), forged(violation.MaxRecords)) // 0 again, so that 1 was seen longest ago
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
	b.add(forged(1)) // as if for the first time
	if lines := b.lines(); len(lines) != 1 || !strings.Contains(lines[0], "address=172.16.0.1 ") {
		t.Errorf("log is\n%s", strings.Join(lines, "\n"))
	}
}

// TestRoomIsShared lets two ports flood a table in which a third has some records.
func TestRoomIsShared(t *testing.T) {
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

// TestManyPorts has more ports than records, in more networks than one: those that have been there longest go.
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
	b.add(on(forged(1), more)) // a port that has a record makes room itself, none having more
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

// TestOrder changes one thing at a time: each makes a record of its own, and has a place in the order.
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

// TestClockSetBack sets the clock back by an hour: the time that went by before and after it counts.
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

// BenchmarkAdd adds a violation that the table has, and ever new ones, of one port and of many, when it is full.
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
