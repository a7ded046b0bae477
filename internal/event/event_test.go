package event_test

import (
	"bytes"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/google/go-cmp/cmp"
)

var (
	app, db = netip.MustParseAddr("10.239.0.101"), netip.MustParseAddr("10.239.0.102")
	appMAC  = []byte{2, 0, 6, 0xde, 0x54, 0xa8}

	request = lab.Request(appMAC, app, db).Frame()
)

// numbered returns an event that the length of its frame identifies.
func numbered(length int) *event.Event {
	e := &event.Event{
		Network: "lab", Port: "vnet1",
		Verdict: responder.Verdict{Action: responder.Reply, Reason: responder.Answered},
	}
	e.SetFrame(append(bytes.Clone(request), make([]byte, length-len(request))...))
	return e
}

// take returns the lengths of the waiting frames, and the number of lost events.
func take(l *event.Listener, most int) (lengths []int, lost uint64) {
	into := make([]event.Event, most)
	n, lost := l.Take(into)
	for i := range into[:n] {
		lengths = append(lengths, into[i].Len())
	}
	return lengths, lost
}

func TestNobodyListens(t *testing.T) {
	var s event.Stream
	if s.IsHeard() {
		t.Error("it is heard before anybody listens")
	}
	s.Publish(numbered(60))
	l := s.Listen(event.Filter{}, 4, 0)
	if !s.IsHeard() {
		t.Error("it is not heard though somebody listens")
	}
	if lengths, lost := take(l, 4); len(lengths) > 0 || lost > 0 {
		t.Errorf("what was published before: %v, %d lost", lengths, lost)
	}
	l.Close()
	if s.IsHeard() {
		t.Error("it is heard after the last one has gone")
	}
	s.Publish(numbered(60))
	if lengths, _ := take(l, 4); len(lengths) > 0 {
		t.Errorf("what was published afterwards: %v", lengths)
	}
}

// TestSlowListener checks that a slow listener keeps the oldest events, in order, and counts the others, and that other
// listeners lose none.
func TestSlowListener(t *testing.T) {
	var s event.Stream
	slow, fast := s.Listen(event.Filter{}, 3, 0), s.Listen(event.Filter{}, 3, 0)
	check := func(l *event.Listener, most int, want []int, wantLost uint64) {
		t.Helper()
		got, lost := take(l, most)
		if diff := cmp.Diff(want, got); diff != "" || lost != wantLost {
			t.Errorf("%d lost, want %d; events (-want +got)\n%s", lost, wantLost, diff)
		}
	}
	for _, n := range []int{61, 62} {
		s.Publish(numbered(n))
	}
	check(fast, 9, []int{61, 62}, 0)
	for _, n := range []int{63, 64, 65} {
		s.Publish(numbered(n))
	}
	check(fast, 9, []int{63, 64, 65}, 0)
	check(slow, 2, []int{61, 62}, 2)
	s.Publish(numbered(66))
	check(slow, 9, []int{63, 66}, 0)
	check(slow, 9, nil, 0)
}

// TestLast checks that a listener begins with the last events that match, marked as earlier, and that only MaxLast are kept.
func TestLast(t *testing.T) {
	var s event.Stream
	publish := func(n int, network string) {
		e := numbered(n)
		e.Network = network
		s.Publish(e)
	}
	for n := range 2 * event.MaxLast {
		publish(60+2*n, "lab")
		publish(61+2*n, "other")
	}
	const newest = 60 + 4*event.MaxLast - 1
	for _, tt := range []struct {
		capacity, last int
		filter         event.Filter
		want           []int
	}{
		{8, 0, event.Filter{}, nil},
		{8, 3, event.Filter{}, []int{newest - 2, newest - 1, newest}},
		{2, 3, event.Filter{}, []int{newest - 1, newest}},
		{8, 2, event.Filter{Networks: []string{"lab"}}, []int{newest - 3, newest - 1}},
		{8, 2, event.Filter{Networks: []string{"none"}}, nil},
	} {
		l := s.Listen(tt.filter, tt.capacity, tt.last)
		if got, _ := take(l, 9); !slices.Equal(got, tt.want) {
			t.Errorf("the last %d of %v: %d, want %d", tt.last, tt.filter, got, tt.want)
		}
		l.Close()
	}
	l, into := s.Listen(event.Filter{}, 2*event.MaxLast, 2*event.MaxLast), make([]event.Event, 2*event.MaxLast)
	s.Publish(numbered(59))
	n, _ := l.Take(into)
	if n != event.MaxLast+1 || !into[0].IsEarlier || !into[n-2].IsEarlier || into[n-1].IsEarlier {
		t.Errorf("%d events, and the last but one is earlier: %v", n, into[n-2].IsEarlier)
	}
}

// TestLastWithoutGap begins to listen while events are published. Each must come once, earlier or not.
func TestLastWithoutGap(t *testing.T) {
	const events = 50
	for range 200 {
		var s event.Stream
		var publishing sync.WaitGroup
		publishing.Go(func() {
			for n := range events {
				s.Publish(numbered(60 + n))
			}
		})
		l := s.Listen(event.Filter{}, event.MaxLast, event.MaxLast)
		publishing.Wait()
		got, _ := take(l, event.MaxLast)
		for n := range events {
			if n >= len(got) || got[n] != 60+n {
				t.Fatalf("got %d, want 60 to %d", got, 60+events-1)
			}
		}
	}
}

func TestFrame(t *testing.T) {
	for _, length := range []int{42, event.SnapLen, 1514} {
		e := numbered(length)
		if e.Len() != length || len(e.Frame()) != min(length, event.SnapLen) || !bytes.HasPrefix(e.Frame(), request) {
			t.Errorf("a frame of %d bytes: length %d, %x", length, e.Len(), e.Frame())
		}
	}
}

func TestFilter(t *testing.T) {
	other := netip.MustParseAddr("10.239.0.1")
	tests := []struct {
		name   string
		filter event.Filter
		want   bool
	}{
		{"nothing", event.Filter{}, true},
		{"its network", event.Filter{Networks: []string{"prod", "lab"}}, true},
		{"another network", event.Filter{Networks: []string{"prod"}}, false},
		{"its port", event.Filter{Ports: []string{"vnet1"}}, true},
		{"another port", event.Filter{Ports: []string{"vnet2"}}, false},
		{"its sender", event.Filter{Addresses: []netip.Addr{app}}, true},
		{"its target", event.Filter{Addresses: []netip.Addr{other, db}}, true},
		{"another address", event.Filter{Addresses: []netip.Addr{other}}, false},
		{"its reason", event.Filter{Reasons: []responder.Reason{responder.Answered}}, true},
		{"another reason", event.Filter{Reasons: []responder.Reason{responder.UnknownTarget}}, false},
		{"its action", event.Filter{Actions: []responder.Action{responder.Drop, responder.Reply}}, true},
		{"another action", event.Filter{Actions: []responder.Action{responder.Drop}}, false},
		{"its port, another network", event.Filter{Ports: []string{"vnet1"}, Networks: []string{"prod"}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s event.Stream
			l := s.Listen(tt.filter, 1, 0)
			s.Publish(numbered(60))
			if lengths, _ := take(l, 1); (len(lengths) == 1) != tt.want {
				t.Errorf("events %v, want one: %v", lengths, tt.want)
			}
		})
	}
}

// TestManyAtOnce subscribes and closes listeners while events are published. Every event must be taken or lost.
func TestManyAtOnce(t *testing.T) {
	const events = 20_000
	var s event.Stream
	steady := s.Listen(event.Filter{}, 64, 0)
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for range events {
				s.Publish(numbered(60))
			}
		})
	}
	all.Go(func() {
		for range 1000 {
			s.Listen(event.Filter{}, 1, 0).Close()
		}
	})
	published := make(chan struct{})
	go func() { all.Wait(); close(published) }()
	var taken, lost uint64
	for done := false; !done; {
		select {
		case <-published:
			done = true
		default:
		}
		lengths, n := take(steady, 128)
		taken, lost = taken+uint64(len(lengths)), lost+n
	}
	if taken+lost != 2*events {
		t.Errorf("%d taken and %d lost, of %d", taken, lost, 2*events)
	}
}

func TestPublishAllocatesNothing(t *testing.T) {
	var s event.Stream
	s.Listen(event.Filter{Networks: []string{"lab"}, Addresses: []netip.Addr{db}}, 16, 0)
	e := numbered(60)
	if n := testing.AllocsPerRun(1000, func() { s.Publish(e) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPublish(b *testing.B) {
	for name, listeners := range map[string]int{"unheard": 0, "heard": 1} {
		b.Run(name, func(b *testing.B) {
			var s event.Stream
			for range listeners {
				s.Listen(event.Filter{}, 1024, 0)
			}
			e := numbered(60)
			for b.Loop() {
				s.Publish(e)
			}
		})
	}
}
