package datapathtest

import (
	"context"
	"net"
	"net/netip"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

var free = netip.MustParseAddr("10.239.0.200") // not in the registry

// read sends copies of the frames that are handed over to a channel, until the Datapath is closed.
func read(d datapath.Datapath, to chan<- wireFrame) {
	batch := make([]wire.Frame, wire.MaxBatch)
	for {
		n, err := d.Read(batch)
		if err != nil {
			return
		}
		for _, f := range batch[:n] {
			to <- wireFrame{f.Port, f.FromHost, string(f.Data)}
		}
	}
}

func (s *stage) handsARPOver() {
	s.apply(s.plan())
	request := s.request(s.db.Addr.Addr())
	s.expectAtDB("a request", false, request)
	s.expectHandedOver(request, s.app.index)
}

func (s *stage) sendsOutOfThePort() {
	s.apply(s.plan())
	answer := s.request(free)
	copy(answer, s.app.MAC)
	n, err := s.Write([]wire.Frame{{Port: s.app.index, Data: answer}, {Port: 1 << 30, Data: answer}})
	if n != 1 || err != nil {
		s.Errorf("%d frames left, error %v; want 1, because the port of the other is not there", n, err)
	}
	s.eventually("the answer arrives at app", func() bool { return s.app.HasReceived(answer) })
	s.expectAtDB("the answer", false)
	if s.db.HasReceived(answer) {
		s.Error("db has received app's answer")
	}
}

func (s *stage) handsTheHostsARPOver() {
	s.apply(s.plan())
	conn, err := net.Dial("udp", net.JoinHostPort(s.db.Addr.Addr().String(), "9"))
	labtest.Must(s, err)
	defer conn.Close()
	conn.Write([]byte("the host has to ask for db"))
	s.eventually("the host's request is handed over", func() bool {
		f := <-s.reads
		return f.fromHost && lab.CarriesARP([]byte(f.data))
	})
	s.expectAtDB("the host's request", false)
	for _, seen := range s.db.Frames() {
		if lab.CarriesARP(seen.Frame) {
			s.Errorf("db has received %s", responder.Describe(seen.Frame))
		}
	}
}

func (s *stage) observes() {
	s.apply(s.plan(func(n *datapath.Network) { n.ARP, n.AllowList = datapath.Observe, datapath.Report }))
	request, forged := s.request(s.db.Addr.Addr()), s.datagram(free)
	s.expectAtDB("an observed frame", true, request, forged)
	s.expectHandedOver(request, s.app.index)
	s.expectHandedOver(forged, s.app.index)
}

func (s *stage) admitsByTheRegistry() {
	s.apply(s.plan())
	forged, unregistered := s.datagram(s.db.Addr.Addr()), s.datagram(free)
	s.expectAtDB("IPv4 from app's own address", true, s.datagram(s.app.Addr.Addr()))
	s.expectAtDB("IPv4 from another's address", false, forged)
	s.expectAtDB("IPv4 from an unregistered address", false, unregistered)
	s.expectHandedOver(forged, s.app.index)
	s.expectHandedOver(unregistered, s.app.index)
	counters, err := s.Counters()
	labtest.Must(s, err)
	if got := counters[s.app.Port].Refused; got != 2 {
		s.Errorf("%d frames of app were refused; want 2", got)
	}

	// A binding that names a port is valid only for frames from that port.
	tied := s.app.binding()
	tied.Port = s.db.Port
	other := registry.Binding{First: free, Last: free, MAC: tied.MAC, Port: s.app.Port}
	s.apply(s.plan(func(n *datapath.Network) { n.Registry = registrytest.New(s, tied, other, s.db.binding()) }))
	mark, own := s.datagram(free), s.datagram(s.app.Addr.Addr())
	s.send(own, mark)
	s.eventually("IPv4 by the right port arrives at db", func() bool { return s.db.HasReceived(mark) })
	if s.db.HasReceived(own) {
		s.Error("IPv4 by another port than the binding's arrives at db")
	}
}

func (s *stage) changesTheRegistry() {
	p := s.plan()
	s.apply(p)
	more := registry.Binding{First: free, Last: free.Next(), MAC: registry.MAC(s.app.MAC)}
	for _, step := range []struct {
		remove, add []registry.Binding
		passes      bool
	}{
		{nil, []registry.Binding{more}, true},
		{[]registry.Binding{more}, nil, false},
	} {
		next, err := p.Networks[0].Registry.Edit(step.remove, step.add)
		labtest.Must(s, err)
		p = s.plan(func(n *datapath.Network) { n.Registry = next })
		s.apply(p)
		s.expectAtDB("IPv4 from an address that comes and goes", step.passes, s.datagram(free), s.datagram(free.Next()))
	}
}

// admitsByRoutes changes the routes of a router behind app's port step by step. Each step is one Apply, also where the new
// routes overlap the old.
func (s *stage) admitsByRoutes() {
	router := registry.Binding{First: free, Last: free, MAC: registry.MAC{0x02, 0, 0x0b, 0xde, 0x54, 0xa8}}
	routed := func(port string, prefixes ...string) registry.Binding {
		b := router
		b.Port, b.Routes = port, registrytest.Prefixes(prefixes...)
		return b
	}
	next, err := s.plan().Networks[0].Registry.Edit(nil, []registry.Binding{router})
	labtest.Must(s, err)
	for _, step := range []struct {
		what             string
		router           registry.Binding
		isHost           bool // the router's MAC is the host's, which no guest may use
		near, far, taken bool // IPv4 from 10.9.0.7, 10.9.1.7 and db's address arrives
	}{
		{"one route", routed("", "10.9.0.0/24"), false, true, false, false},
		{"a wider route", routed("", "10.9.0.0/23"), false, true, true, false},
		{"a narrower route again", routed("", "10.9.0.0/24"), false, true, false, false},
		{"two adjacent routes", routed("", "10.9.0.0/24", "10.9.1.0/24"), false, true, true, false},
		{"its own port", routed(s.app.Port, "10.9.0.0/24"), false, true, false, false},
		{"another port", routed(s.db.Port, "10.9.0.0/24"), false, false, false, false},
		{"everything", routed("", "0.0.0.0/0"), false, true, true, true},
		{"the host's MAC", routed("", "0.0.0.0/0"), true, false, false, false},
		{"not the host's MAC any more", routed("", "0.0.0.0/0"), false, true, true, true},
		{"no routes any more", router, false, false, false, false},
	} {
		next, err = next.Edit([]registry.Binding{step.router}, []registry.Binding{step.router})
		labtest.Must(s, err)
		s.apply(s.plan(func(n *datapath.Network) {
			n.Registry = next
			if step.isHost {
				n.Host = []registry.MAC{step.router.MAC}
			}
		}))
		for from, arrives := range map[string]bool{"10.9.0.7": step.near, "10.9.1.7": step.far, s.db.Addr.Addr().String(): step.taken, "127.0.0.1": false} {
			frame := s.datagram(netip.MustParseAddr(from))
			copy(frame[len(registry.MAC{}):], step.router.MAC[:])
			s.expectAtDB(step.what+": IPv4 from "+from, arrives, frame)
		}
		if changed := s.Intact(false); len(changed) > 0 {
			s.Errorf("%s: %v are not as they were applied", step.what, changed)
		}
	}
}

// admitsToUplinks sends IPv4 to a MAC without a binding, which the bridge floods. db's port is a guest port or an uplink.
func (s *stage) admitsToUplinks() {
	toUnknown := func(from netip.Addr) []byte {
		frame := s.datagram(from)
		copy(frame, []byte{0x02, 0, 0x0b, 0xde, 0x54, 0xa8})
		return frame
	}
	for _, test := range []struct {
		name             string
		isUplink, passes bool // db's port is an uplink; the plan admits such frames
	}{
		{"a guest port", false, true}, {"an uplink, by default", true, false}, {"an uplink", true, true},
	} {
		s.apply(s.plan(func(n *datapath.Network) {
			n.UnknownToUplinks = test.passes
			if test.isUplink {
				n.Guests, n.Uplinks = []string{s.app.Port}, []string{s.db.Port}
			}
		}))
		s.expectAtDB("IPv4 to an unregistered MAC, where db is behind "+test.name, test.isUplink && test.passes, toUnknown(s.app.Addr.Addr()))
		s.expectAtDB("the same, from another's address", false, toUnknown(s.db.Addr.Addr()))
	}
}

func (s *stage) limitsTheRate() {
	const limit, many = 10, 500
	s.apply(s.plan(func(n *datapath.Network) { n.RateLimit = limit }))
	for range many {
		s.send(s.request(s.db.Addr.Addr()))
	}
	s.eventually("frames over the limit are counted", func() bool {
		counters, err := s.Counters()
		labtest.Must(s, err)
		return counters[s.app.Port].Dropped[responder.RateLimited] > 0
	})
	s.expectAtDB("a request over the limit", false, s.request(s.db.Addr.Addr()))
	s.eventually("frames within the limit are handed over", func() bool { return len(s.reads) >= limit })
	if read := len(s.reads); read >= many {
		s.Errorf("all of %d frames were handed over, at a limit of %d a second", read, limit)
	}
}

// guardsSidecars makes the host's end of db's veth pair a sidecar's interface. The host is the guest.
func (s *stage) guardsSidecars() {
	labtest.Must(s, labtest.ClearMaster(s.db.Port))
	own := netip.MustParsePrefix("10.239.1.1/24")
	labtest.Must(s, labtest.AddAddress(s.db.Port, own))
	port, err := net.InterfaceByName(s.db.Port)
	labtest.Must(s, err)
	s.apply(datapath.Plan{Sidecars: []datapath.Sidecar{{
		Interface: port.Name, Index: port.Index, MAC: port.HardwareAddr,
		Addresses: []datapath.Range{{First: own.Addr(), Last: own.Addr()}},
		Routes:    []datapath.Range{{First: netip.MustParseAddr("10.9.0.0"), Last: netip.MustParseAddr("10.9.0.255")}},
	}}})
	conn, err := net.Dial("udp", "10.239.1.2:9")
	labtest.Must(s, err)
	defer conn.Close()
	conn.Write([]byte("the guest has to ask"))
	s.eventually("the guest's request is handed over", func() bool {
		f := <-s.reads
		return f.fromHost && f.port == port.Index && lab.CarriesARP([]byte(f.data))
	})
	for _, seen := range s.db.Frames() {
		if !seen.Sent && lab.CarriesARP(seen.Frame) {
			s.Errorf("the guest's request has left: %s", responder.Describe(seen.Frame))
		}
	}
	in := s.request(own.Addr())
	labtest.Must(s, s.db.Send(in))
	s.expectHandedOver(in, port.Index)
	s.expectIPv4ToLeave(port, map[string]bool{"10.9.0.7": true, "10.9.1.7": false, free.String(): false, own.Addr().String(): true})
}

// expectIPv4ToLeave sends a frame out of a sidecar's interface, to db, from each address.
func (s *stage) expectIPv4ToLeave(port *net.Interface, leaves map[string]bool) {
	s.Helper()
	out, err := wire.OpenPacket(0, 0)
	labtest.Must(s, err)
	defer out.Close()
	for from, want := range leaves {
		frame, mark := s.datagram(netip.MustParseAddr(from)), s.datagram(netip.MustParseAddr("10.239.1.1"))
		for _, data := range [][]byte{frame, mark} {
			copy(data[len(registry.MAC{}):], port.HardwareAddr)
			_, err := out.Write([]wire.Frame{{Port: port.Index, Data: data}})
			labtest.Must(s, err)
		}
		s.eventually("the sidecar's own IPv4 arrives at db", func() bool { return s.db.HasReceived(mark) })
		if s.db.HasReceived(frame) != want {
			s.Errorf("IPv4 from %s leaves the sidecar: %v", from, !want)
		}
	}
}

func (s *stage) noticesWhatOthersChange() {
	ctx, cancel := context.WithCancel(s.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Watch(ctx) }()
	defer func() {
		cancel()
		labtest.Must(s, <-ended)
	}()
	s.apply(s.plan())
	for _, quick := range []bool{true, false} {
		if changed := s.Intact(quick); len(changed) > 0 {
			s.Fatalf("%q are not as they were applied, at once", changed)
		}
	}
	// Watch may have begun after the guard was broken for the first time.
	s.eventually("Changed receives a value", func() bool {
		s.Break(s.T)
		select {
		case <-s.Changed():
			return true
		default:
			return false
		}
	})
	if changed := s.Intact(true); len(changed) == 0 {
		s.Error("a broken guard looks intact")
	}
	s.apply(s.plan())
	if changed := s.Intact(false); len(changed) > 0 {
		s.Errorf("%q are not as they were applied", changed)
	}
	s.expectAtDB("a request", false, s.request(s.db.Addr.Addr()))
}

func (s *stage) outlivesItsProcess() {
	s.apply(s.plan())
	s.Close()
	s.expectAtDB("a request to a dead fabric", false, s.request(s.db.Addr.Addr()))
	s.start()
	s.expectAtDB("a request while the next one starts", false, s.request(s.db.Addr.Addr()))
	s.apply(s.plan())
	request := s.request(s.db.Addr.Addr())
	s.expectAtDB("a request", false, request)
	s.expectHandedOver(request, s.app.index)
}

func (s *stage) appliesAnEmptyPlan() {
	before := s.settings()
	s.apply(s.plan())
	s.apply(datapath.Plan{})
	s.expectNoGuard(before)

	s.apply(s.plan())
	s.restart() // so that Apply finds the guard of another process
	s.apply(datapath.Plan{})
	s.expectAtDB("a request on a plain bridge", true, s.request(s.db.Addr.Addr()))
}

func (s *stage) removes() {
	before := s.settings()
	labtest.Must(s, s.Remove()) // there is none
	if parts := s.Parts(); len(parts) > 0 {
		s.Errorf("without a guard there are %v", parts)
	}
	s.apply(s.plan())
	s.restart() // so that the guard is that of another process
	if parts := s.Parts(); len(parts) == 0 {
		s.Errorf("the guard has the parts %v, want some", parts)
	}
	labtest.Must(s, s.Remove())
	if parts := s.Parts(); len(parts) > 0 {
		s.Errorf("Remove has left %v", parts)
	}
	s.expectNoGuard(before)
}

func (s *stage) rollsBack() {
	before := s.settings()
	labtest.Must(s, s.Rollback()) // there is nothing
	s.apply(s.plan())
	labtest.Must(s, s.Rollback())
	s.expectNoGuard(before)

	s.restart()
	s.apply(s.plan())
	s.restart()
	s.apply(s.plan())
	labtest.Must(s, s.Rollback())
	s.expectAtDB("a request past a guard that was there before", false, s.request(s.db.Addr.Addr()))
}

// restart closes the Datapath and starts another one.
func (s *stage) restart() {
	s.Helper()
	s.Close()
	s.start()
}

// settings has the settings of the bridge and of app's port that Apply may change.
type settings struct {
	learns    bool   // no_linklocal_learn is off
	forwarded uint16 // group_fwd_mask
}

func (s *stage) settings() settings {
	s.Helper()
	interfaces, err := link.ReadSnapshot()
	labtest.Must(s, err)
	l, _ := interfaces.Find(bridge)
	learns, err := link.LinkLocalLearning(l)
	labtest.Must(s, err)
	members, err := link.ReadMemberSettings()
	labtest.Must(s, err)
	return settings{learns, members[s.app.index].GroupForwarding}
}

func (s *stage) expectNoGuard(before settings) {
	s.Helper()
	s.expectAtDB("a request on a plain bridge", true, s.request(s.db.Addr.Addr()))
	if got := s.settings(); got != before {
		s.Errorf("the bridge and the port are set as %+v; before: %+v", got, before)
	}
}

func (s *stage) opensTwice() {
	labtest.Must(s, s.Open())
	if err := s.New().Open(); err == nil {
		s.Error("a second Datapath has opened, although only one process can have it open")
	}
}
