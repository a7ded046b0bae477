package event_test

import (
	"bytes"
	"net/netip"
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
	l := s.Listen(event.Filter{}, 4)
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
	slow, fast := s.Listen(event.Filter{}, 3), s.Listen(event.Filter{}, 3)
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
			l := s.Listen(tt.filter, 1)
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
	steady := s.Listen(event.Filter{}, 64)
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
			s.Listen(event.Filter{}, 1).Close()
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
	s.Listen(event.Filter{Networks: []string{"lab"}, Addresses: []netip.Addr{db}}, 16)
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
				s.Listen(event.Filter{}, 1024)
			}
			e := numbered(60)
			for b.Loop() {
				s.Publish(e)
			}
		})
	}
}
