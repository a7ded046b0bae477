package fabric_test

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/mdlayher/ethernet"
	"github.com/vishvananda/netlink"
)

// A locationStage has a bridge that forgets MACs after a second. app sends to db. idle has never sent anything, so that the
// bridge floods frames for unknown MACs to it.
type locationStage struct {
	*stage
	sent int // number of datagrams so far
}

func buildLocations(t *testing.T) *locationStage {
	t.Helper()
	labtest.NeedProgram(t, "ip")
	s := &locationStage{stage: build(t, onBridge)}
	ip(t, "link", "set", bridgeName, "type", "bridge", "ageing_time", "100")
	return s
}

// forget waits for longer than the bridge remembers MACs.
func forget() { time.Sleep(3 * time.Second) }

// datagrams returns frames from app to a guest, of which no two are equal.
func (s *locationStage) datagrams(to *guest) [][]byte {
	const many = 50
	var frames [][]byte
	for range many {
		s.sent++
		frames = append(frames, mark(s.app, to, 10_000_000+s.sent))
	}
	return frames
}

// expectUnheard sends many datagrams from app to a guest, and checks that all others receive none of them.
func (s *locationStage) expectUnheard(t *testing.T, to *guest, others ...*guest) {
	t.Helper()
	frames := s.datagrams(to)
	for _, frame := range frames {
		s.app.send(t, frame)
	}
	for _, frame := range frames {
		labtest.Eventually(t, "a datagram arrives at "+to.Name, func() bool { return to.hasReceived(frame) })
	}
	for _, g := range others {
		s.sent++
		sendMark(t, to, g, 10_000_000+s.sent)
		heard := 0
		for _, frame := range frames {
			if g.hasReceived(frame) {
				heard++
			}
		}
		if heard > 0 {
			t.Errorf("%s has received %d of %d datagrams for %s", g.Name, heard, len(frames), to.Name)
		}
	}
}

// tied returns a configuration in which the binding of db names a port.
func tied(t *testing.T, configuration, port string) string {
	t.Helper()
	was := fmt.Sprintf("%q", dbMAC)
	if !strings.Contains(configuration, was) {
		t.Fatal("the configuration has no binding of db")
	}
	return strings.Replace(configuration, was, fmt.Sprintf("{mac: %q, port: %s}", dbMAC, port), 1)
}

// TestNobodyOverhears checks that frames for a guest reach no other guest, however long the guest is silent, once it has
// sent something, its binding names the port, or the bridge knew it before the start.
func TestNobodyOverhears(t *testing.T) {
	for _, how := range []struct {
		name    string
		prepare func(t *testing.T, s *locationStage)
	}{
		{"it has asked", func(t *testing.T, s *locationStage) {
			start(t, network(s.attach))
			s.db.ask(t)
		}},
		{"it has sent IPv4", func(t *testing.T, s *locationStage) {
			start(t, network(s.attach))
			sendMark(t, s.db, s.app, 1)
			expectLocated(t, s.db.MAC, s.db.Port)
		}},
		{"its binding names the port", func(t *testing.T, s *locationStage) {
			start(t, tied(t, network(s.attach), s.db.Port))
		}},
		{"the bridge knew it", func(t *testing.T, s *locationStage) {
			sendMark(t, s.db, s.app, 1)
			start(t, network(s.attach))
		}},
		{"the fabric was started again", func(t *testing.T, s *locationStage) {
			fabric := start(t, network(s.attach))
			s.db.ask(t)
			fabric.stop()
			start(t, network(s.attach))
		}},
		{"another fabric has left its guard", func(t *testing.T, s *locationStage) {
			fabric := start(t, network(s.attach, "policy: {on_stop: hold}"))
			s.db.ask(t)
			fabric.stop()
			forget()
			s.expectUnheard(t, s.db, s.idle)
			start(t, network(s.attach))
		}},
		{"the configuration was loaded again", func(t *testing.T, s *locationStage) {
			fabric := start(t, network(s.attach))
			s.db.ask(t)
			labtest.Must(t, fabric.Reload(t.Context(), loadConfig(t, network(s.attach, "policy: {ipv6: pass}"))))
		}},
		{"its port was down", func(t *testing.T, s *locationStage) {
			start(t, network(s.attach))
			s.db.ask(t)
			ip(t, "link", "set", s.db.Port, "down")
			ip(t, "link", "set", s.db.Port, "up")
			sendMark(t, s.app, s.db, 2)
		}},
	} {
		t.Run(how.name, func(t *testing.T) {
			s := buildLocations(t)
			how.prepare(t, s)
			forget()
			s.expectUnheard(t, s.db, s.idle)
		})
	}
}

// TestAbsentGuest checks that frames for a registered guest that is not there reach no port behind which somebody is.
func TestAbsentGuest(t *testing.T) {
	s := buildLocations(t)
	start(t, network(s.attach))
	s.db.ask(t)
	expectNoFlood(t, s.db.Port)
	absent := &guest{Guest: &lab.Guest{GuestConfig: lab.GuestConfig{
		MAC: []byte{0x02, 0x00, 0x09, 0xde, 0x54, 0xa8}, Addr: netip.MustParsePrefix("10.239.0.104/24"),
	}}}
	frames := s.datagrams(absent)
	for _, frame := range frames {
		s.app.send(t, frame)
	}
	sendMark(t, s.app, s.db, 1)
	sendMark(t, s.app, s.idle, 1)
	for _, frame := range frames {
		if s.db.hasReceived(frame) {
			t.Fatal("db has received a datagram for a guest that is not there")
		}
		if !s.idle.hasReceived(frame) {
			t.Fatal("a datagram has not reached a port where the guest may be")
		}
	}
}

// TestGuestMovesToAnotherPort has another port take db's place, as a bond does whose other NIC becomes active, or VRRP's
// virtual MAC. One frame with db's MAC and address is enough.
func TestGuestMovesToAnotherPort(t *testing.T) {
	for name, frame := range map[string]func(s *locationStage) []byte{
		"announcement":            func(s *locationStage) []byte { return vary(s.db.request(dbAddr)) },
		"announcement by a reply": func(s *locationStage) []byte { return vary(s.db.request(dbAddr), isReply) },
		"request":                 func(s *locationStage) []byte { return vary(s.db.request(gatewayAddr)) },
		"IPv4":                    func(s *locationStage) []byte { return mark(s.db, s.app, 7) },
		"RARP":                    func(s *locationStage) []byte { return other(ethernet.Broadcast, s.db.MAC, rarp) },
	} {
		t.Run(name, func(t *testing.T) {
			s := buildLocations(t)
			start(t, network(s.attach))
			s.db.ask(t)
			expectNoFlood(t, s.db.Port)
			s.idle.send(t, frame(s))
			expectLocated(t, s.db.MAC, s.idle.Port)
			m := mark(s.app, s.db, 100)
			s.app.send(t, m)
			labtest.Eventually(t, "a frame arrives at the new port", func() bool { return s.idle.hasReceived(m) })
			if s.db.hasReceived(m) {
				t.Error("a frame has arrived at the old port")
			}
			sendMark(t, s.db, s.app, 101) // and back
			expectLocated(t, s.db.MAC, s.db.Port)
		})
	}
}

// expectNoFlood waits until the fabric knows who is behind a port, and floods nothing there.
func expectNoFlood(t *testing.T, port string) {
	t.Helper()
	index := linkOf(t, port).Index
	labtest.Eventually(t, "there is no flooding to "+port, func() bool {
		settings, err := link.ReadMemberSettings()
		labtest.Must(t, err)
		return !settings[index].Floods
	})
}

// TestNothingMovesAFixedGuest checks that no frame with a guest's MAC moves the guest, if its binding names its port.
func TestNothingMovesAFixedGuest(t *testing.T) {
	for _, place := range []string{"vnet2", "vnet4"} { // a guest port, and an uplink
		t.Run(place, func(t *testing.T) {
			s := buildLocations(t)
			outside := addGuest(t, 4, "outside")
			owner := s.db
			if place == outside.Port {
				owner = outside
			}
			configuration := tied(t, network("{bridge: br0, uplinks: [vnet4]}", "policy: {ipv6: pass}"), place)
			fabric := start(t, configuration)
			expectLocated(t, s.db.MAC, place)
			discover := s.discover().with(func(p *packet) { p.from = s.db.MAC })
			for i, frame := range [][]byte{
				vary(s.db.request(dbAddr)), vary(s.db.request(gatewayAddr)), mark(s.db, s.app, 7),
				other(ethernet.Broadcast, s.db.MAC, rarp), discover, ipv6(s.app.MAC, s.db.MAC), ipv6(toIPv6Group, s.db.MAC),
			} {
				for _, g := range []*guest{s.idle, outside} {
					g.send(t, frame)
					sendMark(t, g, s.app, 100+i)
					fabric.settle(t)
					expectBehind(t, s.db.MAC, place)
				}
			}
			m := mark(s.app, s.db, 7)
			s.app.send(t, m)
			labtest.Eventually(t, "a frame arrives at its port", func() bool { return owner.hasReceived(m) })
		})
	}
}

// TestMACAloneMovesNobody checks that a frame of which only the MAC is known locates a guest that nobody has located, and
// does not move one that its own address has located.
func TestMACAloneMovesNobody(t *testing.T) {
	s := buildLocations(t)
	fabric := start(t, network(s.attach, "policy: {ipv6: pass}"))
	inItsName := s.discover().with(func(p *packet) { p.from = s.db.MAC })
	s.db.send(t, inItsName)
	expectLocated(t, s.db.MAC, s.db.Port)
	sendMark(t, s.db, s.app, 1)
	s.db.ask(t)
	fabric.settle(t)
	for i, frame := range [][]byte{inItsName, ipv6(s.app.MAC, s.db.MAC)} {
		s.idle.send(t, frame)
		sendMark(t, s.idle, s.app, 100+i)
		fabric.settle(t)
		expectBehind(t, s.db.MAC, s.db.Port)
	}
}

// TestGuestBehindAnUplink checks that a guest that has gone to another host is found behind the uplink, and that frames for
// it still reach nobody else after the bridge has forgotten it.
func TestGuestBehindAnUplink(t *testing.T) {
	s := buildLocations(t)
	outside := addGuest(t, 4, "outside")
	start(t, network("{bridge: br0, uplinks: [vnet4]}"))
	s.db.ask(t)
	expectNoFlood(t, s.db.Port)
	outside.send(t, mark(s.db, s.app, 1))
	expectLocated(t, s.db.MAC, outside.Port)
	forget()
	m := mark(s.app, s.db, 2)
	s.app.send(t, m)
	labtest.Eventually(t, "a frame arrives at the uplink", func() bool { return outside.hasReceived(m) })
	sendMark(t, s.app, s.idle, 3)
	if s.db.hasReceived(m) || s.idle.hasReceived(m) {
		t.Error("a guest has received a frame for one behind the uplink")
	}
	s.db.ask(t) // it has come back
	expectLocated(t, s.db.MAC, s.db.Port)
}

// TestUplinkFailsOver has the gateway behind one of two uplinks, which loses its carrier. The gateway is silent. Frames for
// it then leave by the other uplink, as by that of a plain bridge.
func TestUplinkFailsOver(t *testing.T) {
	s := buildLocations(t)
	first, second := addGuest(t, 4, "first"), addGuest(t, 5, "second")
	start(t, network("{bridge: br0, uplinks: [vnet4, vnet5]}"))
	for _, g := range []*guest{s.app, s.db, s.idle} {
		g.ask(t)
		expectNoFlood(t, g.Port)
	}
	gateway := net.HardwareAddr(gatewayMAC[:])
	hello := mark(first, s.app, 1)
	copy(hello[6:], gateway)
	repeat(t, "app hears the gateway", func() { first.Send(hello) }, func() bool { return s.app.hasReceived(hello) })
	expectLocated(t, gateway, first.Port)
	labtest.Must(t, first.Do(func() error {
		l, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return netlink.LinkSetDown(l)
	}))
	toGateway := packet{to: gateway, from: s.app.MAC, src: appAddr, dst: gatewayAddr}.frame()
	repeat(t, "a frame for the gateway leaves by the other uplink", func() { s.app.Send(toGateway) },
		func() bool { return second.hasReceived(toGateway) })
	if s.db.hasReceived(toGateway) || s.idle.hasReceived(toGateway) {
		t.Error("another guest has received it")
	}
}

// TestPortRejoins takes the ports of silent guests out of the bridge and back, as a restart of a libvirt network does. What
// is for one of them reaches no other.
func TestPortRejoins(t *testing.T) {
	s := buildLocations(t)
	fabric := start(t, network(s.attach))
	guests := []*guest{s.app, s.db, s.idle}
	for _, g := range guests {
		g.ask(t)
		expectLocated(t, g.MAC, g.Port)
	}
	for _, g := range guests {
		labtest.Must(t, labtest.ClearMaster(g.Port))
		labtest.Eventually(t, "the port is gone", func() bool { return fabric.counts(g.Port) == nil })
	}
	for _, g := range guests {
		labtest.Must(t, lab.SetMaster(g.Port, bridgeName))
		expectLocated(t, g.MAC, g.Port)
		expectNoFlood(t, g.Port)
	}
	m := mark(s.app, s.db, 1)
	repeat(t, "db receives a frame", func() { s.app.Send(m) }, func() bool { return s.db.hasReceived(m) })
	sendMark(t, s.app, s.idle, 2)
	if s.idle.hasReceived(m) {
		t.Error("another guest has received it")
	}
}

// TestPortLeavesAfterAFrame has a port leave the bridge after its guest's first frame, while the fabric is busy and has not
// noticed either. When the port returns, the guest is there, although it is silent.
func TestPortLeavesAfterAFrame(t *testing.T) {
	s := buildLocations(t)
	d := &holdable{Datapath: newDatapath(t)}
	configuration := network(s.attach)
	fabric := startOn(t, d, loadConfig(t, configuration), slog.NewTextHandler(t.Output(), nil))
	for _, g := range []*guest{s.app, s.db, s.idle} { // the loop takes what it notices in any order
		d.held.Lock()
		reloaded := make(chan error)
		go func() { reloaded <- fabric.Reload(t.Context(), loadConfig(t, configuration)) }()
		labtest.Eventually(t, "the fabric is busy", d.isWaiting.Load)
		g.ask(t)
		expectLocated(t, g.MAC, g.Port)
		labtest.Must(t, labtest.ClearMaster(g.Port))
		d.held.Unlock()
		labtest.Must(t, <-reloaded)
		labtest.Eventually(t, "the port is gone", func() bool { return fabric.counts(g.Port) == nil })
		labtest.Must(t, lab.SetMaster(g.Port, bridgeName))
		expectLocated(t, g.MAC, g.Port)
	}
}

// holdable is a Datapath whose Apply waits as long as held is locked.
type holdable struct {
	datapath.Datapath
	held      sync.Mutex
	isWaiting atomic.Bool
}

func (d *holdable) Apply(p datapath.Plan, s link.Snapshot) error {
	d.isWaiting.Store(true)
	d.held.Lock()
	d.isWaiting.Store(false)
	d.held.Unlock()
	return d.Datapath.Apply(p, s)
}

// TestReflectedFrames has a frame with db's MAC come in by an uplink many times, as from a LAN that reflects broadcasts. Each
// time, db's own next frame brings it back.
func TestReflectedFrames(t *testing.T) {
	s := buildLocations(t)
	outside := addGuest(t, 4, "outside")
	fabric := start(t, network("{bridge: br0, uplinks: [vnet4]}"))
	isBehind := func(port string) func() bool {
		return func() bool { return slices.Equal(learnedBehind(t, s.db.MAC), []string{port}) }
	}
	for i := range 8 {
		repeat(t, "db is at its port", func() { s.db.Send(s.db.request(gatewayAddr).Frame()) }, isBehind(s.db.Port))
		repeat(t, "db is behind the uplink", func() { outside.Send(mark(s.db, s.app, i)) }, isBehind(outside.Port))
	}
	repeat(t, "db is at its port again", func() { s.db.Send(s.db.request(gatewayAddr).Frame()) }, isBehind(s.db.Port))
	for _, finding := range fabric.Findings()["lab"] {
		if strings.Contains(finding, s.db.MAC.String()) {
			t.Errorf("db is held back: %s", finding)
		}
	}
}

// TestMigrationIsAnnounced checks that RARP and announcements of a guest that has come to the host leave by the uplinks, so
// that a switch outside learns where it is, and reach no other guest.
func TestMigrationIsAnnounced(t *testing.T) {
	const outer = "br1"
	for name, frame := range map[string]func(s *stage) []byte{
		"RARP":                    func(s *stage) []byte { return other(ethernet.Broadcast, s.db.MAC, rarp) },
		"announcement":            func(s *stage) []byte { return vary(s.db.request(dbAddr)) },
		"announcement by a reply": func(s *stage) []byte { return vary(s.db.request(dbAddr), isReply) },
	} {
		t.Run(name, func(t *testing.T) {
			s := build(t, onBridge)
			addBridge(t, outer)
			connect(t, "up0", bridgeName, "up0-far", outer)
			elsewhere := addGuestIn(t, outer, 5, "elsewhere") // where db was before
			fabric := start(t, network("{bridge: br0, uplinks: [up0]}"))
			repeat(t, "both bridges have learned where db was", func() { elsewhere.Send(mark(s.db, s.app, 1)) }, func() bool {
				return slices.Equal(slices.Sorted(slices.Values(learnedBehind(t, s.db.MAC))), []string{"up0", elsewhere.Port})
			})

			s.db.send(t, frame(s))
			expectLearned(t, s.db.MAC, s.db.Port, "up0-far")
			m := mark(elsewhere, s.db, 2)
			elsewhere.send(t, m)
			labtest.Eventually(t, "a frame from outside arrives", func() bool { return s.db.hasReceived(m) })
			fabric.settle(t)
			s.expectSilence(t, s.idle)
			for _, g := range []*guest{s.app, s.idle} {
				if slices.ContainsFunc(g.received(), func(f []byte) bool { return f[12] == 0x80 || lab.CarriesARP(f) }) {
					t.Errorf("%s has received it", g.Name)
				}
			}
		})
	}
}

// TestLocationsAreWatched checks that the fabric sets again what somebody changes, and restores everything when it stops.
func TestLocationsAreWatched(t *testing.T) {
	s := buildLocations(t)
	fabric := start(t, network(s.attach))
	s.db.ask(t)
	port := linkOf(t, s.db.Port)
	isRight := func(want link.MemberSettings, external bool) func() bool {
		return func() bool {
			settings, err := link.ReadMemberSettings()
			labtest.Must(t, err)
			entries, err := link.ReadFDB()
			labtest.Must(t, err)
			return settings[port.Index].Learns == want.Learns && settings[port.Index].Floods == want.Floods &&
				slices.ContainsFunc(entries, func(e link.FDBEntry) bool {
					return e.MAC == link.MAC(dbMAC) && e.Port == port.Index && e.IsExternal == external && !e.IsStatic
				})
		}
	}
	located := isRight(link.MemberSettings{}, true)
	labtest.Eventually(t, "db is located", located)
	for name, change := range map[string]func(){
		"learning is on": func() { labtest.Must(t, link.SetLearning(port, true)) },
		"flooding is on": func() { labtest.Must(t, link.SetFlooding(port, true)) },
		"the entry is gone": func() {
			labtest.Must(t, link.DeleteFDB(link.FDBEntry{MAC: link.MAC(dbMAC), Port: port.Index}))
		},
		"the entry is another port's": func() {
			e := link.FDBEntry{MAC: link.MAC(dbMAC), Port: linkOf(t, s.idle.Port).Index}
			labtest.Must(t, link.WriteFDB(e, link.FDBEntry{}))
		},
	} {
		change()
		labtest.Eventually(t, "it is put right after "+name, located)
	}
	fabric.stop()
	if !isRight(link.MemberSettings{Learns: true, Floods: true}, false)() {
		t.Error("after the stop, the port or the entry is not an ordinary one")
	}
}

// expectLearned waits until the bridges have mac on these ports.
func expectLearned(t *testing.T, mac []byte, ports ...string) {
	t.Helper()
	labtest.Eventually(t, fmt.Sprintf("%x is behind %v", mac, ports), func() bool {
		return slices.Equal(slices.Sorted(slices.Values(learnedBehind(t, mac))), slices.Sorted(slices.Values(ports)))
	})
}

// connect connects two bridges by a pair of members.
func connect(t *testing.T, member, bridge, far, other string) {
	t.Helper()
	t.Cleanup(func() { lab.DeleteLink(member) })
	labtest.Must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: member}, PeerName: far}))
	labtest.Must(t, lab.SetMaster(member, bridge))
	labtest.Must(t, lab.SetMaster(far, other))
	setUp(t, member)
	setUp(t, far)
}

// TestClonedMAC has two guests with the same MAC and address. It checks that the location does not follow each of their
// frames, and that a finding names both ports.
func TestClonedMAC(t *testing.T) {
	s := buildLocations(t)
	fabric := start(t, network(s.attach))
	finding := func() bool {
		return slices.ContainsFunc(fabric.Findings()["lab"], func(f string) bool {
			return strings.HasPrefix(f, dbMAC.String()+" is behind both vnet2 and vnet3")
		})
	}
	request := vary(s.db.request(gatewayAddr))
	repeat(t, "the fabric reports it", func() { s.db.send(t, request); s.idle.send(t, request) }, finding)
	fabric.settle(t)
	before := learnedBehind(t, s.db.MAC)
	for range 5 {
		s.db.send(t, request)
		s.idle.send(t, request)
		fabric.settle(t)
		if now := learnedBehind(t, s.db.MAC); !slices.Equal(now, before) {
			t.Errorf("the MAC has moved from %v to %v", before, now)
		}
	}
}
