// Package datapathtest tests implementations of [datapath.Datapath] against its contract, by traffic on a real bridge.
// Its tests must run in a lab.
package datapathtest

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// Implementation says how to make a Datapath, and how to break its guard.
type Implementation struct {
	New func() datapath.Datapath

	// Break changes the guard in the kernel as another process could, so that it no longer isolates guests.
	Break func(t *testing.T)
}

// Test runs the contract's tests.
func Test(t *testing.T, im Implementation) {
	for _, test := range []struct {
		name string
		run  func(*stage)
	}{
		{"HandsARPOver", (*stage).handsARPOver},
		{"SendsOutOfThePort", (*stage).sendsOutOfThePort},
		{"HandsTheHostsARPOver", (*stage).handsTheHostsARPOver},
		{"Observes", (*stage).observes},
		{"AdmitsByTheRegistry", (*stage).admitsByTheRegistry},
		{"ChangesTheRegistry", (*stage).changesTheRegistry},
		{"AdmitsByRoutes", (*stage).admitsByRoutes},
		{"AdmitsToUplinks", (*stage).admitsToUplinks},
		{"LimitsTheRate", (*stage).limitsTheRate},
		{"GuardsSidecars", (*stage).guardsSidecars},
		{"NoticesWhatOthersChange", (*stage).noticesWhatOthersChange},
		{"OutlivesItsProcess", (*stage).outlivesItsProcess},
		{"AppliesAnEmptyPlan", (*stage).appliesAnEmptyPlan},
		{"RollsBack", (*stage).rollsBack},
		{"Removes", (*stage).removes},
		{"OpensTwice", (*stage).opensTwice},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(newStage(t, im)) })
	}
}

const bridge = "br0"

// A stage is a bridge with two guests, and the Datapath under test.
//
//	app 10.239.0.101    db 10.239.0.102
//	  | vnet1             | vnet2
//	+-+-------------------+-+
//	|  br0, 10.239.0.254    |
//	+-----------------------+
type stage struct {
	*testing.T
	Implementation
	datapath.Datapath
	app, db *guest
	reads   chan wireFrame
	sent    int // number of frames so far, which makes each frame unique
}

// A wireFrame is a copy of a frame that was handed over.
type wireFrame struct {
	port     int
	fromHost bool
	data     string
}

type guest struct {
	*lab.Guest
	*lab.Capture
	index int // ifindex of its port
}

func newStage(t *testing.T, im Implementation) *stage {
	t.Helper()
	s := &stage{T: t, Implementation: im}
	t.Cleanup(func() { lab.DeleteLink(bridge) })
	labtest.Must(s, lab.AddBridge(bridge))
	labtest.Must(s, labtest.AddAddress(bridge, netip.MustParsePrefix("10.239.0.254/24")))
	s.app, s.db = s.addGuest(1, "app"), s.addGuest(2, "db")
	t.Cleanup(func() { im.New().Remove() })
	s.start()
	return s
}

// start makes the Datapath, as a new process does, and reads the frames that it hands over.
func (s *stage) start() {
	s.Helper()
	s.Datapath = s.New()
	labtest.Must(s, s.Open())
	d := s.Datapath
	s.Cleanup(func() { d.Close() })
	s.reads = make(chan wireFrame, 1<<12)
	go read(d, s.reads)
}

func (s *stage) addGuest(n byte, name string) *guest {
	s.Helper()
	inside, err := lab.AddGuest(lab.GuestConfig{
		Name: name, Port: fmt.Sprintf("vnet%d", n), Bridge: bridge,
		MAC:  net.HardwareAddr{0x02, 0x00, 0x05 + n, 0xde, 0x54, 0xa8},
		Addr: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 239, 0, 100 + n}), 24),
	})
	labtest.Must(s, err)
	s.Cleanup(func() { inside.Delete() })
	capture, err := inside.StartCapture()
	labtest.Must(s, err)
	s.Cleanup(func() { capture.Close() })
	port, err := net.InterfaceByName(inside.Port)
	labtest.Must(s, err)
	return &guest{inside, capture, port.Index}
}

// plan returns a plan that guards both guests fully, with a registry of the two.
func (s *stage) plan(change ...func(*datapath.Network)) datapath.Plan {
	n := datapath.Network{
		Name: "lab", Bridge: bridge, Guests: []string{s.app.Port, s.db.Port}, AllowList: datapath.Enforce,
		Registry: registrytest.New(s, s.app.binding(), s.db.binding()),
	}
	for _, do := range change {
		do(&n)
	}
	return datapath.Plan{Networks: []datapath.Network{n}}
}

func (g *guest) binding() registry.Binding {
	return registry.Binding{First: g.Addr.Addr(), Last: g.Addr.Addr(), MAC: registry.MAC(g.MAC)}
}

func (s *stage) apply(p datapath.Plan) {
	s.Helper()
	interfaces, err := link.ReadSnapshot()
	labtest.Must(s, err)
	labtest.Must(s, s.Apply(p, interfaces))
}

// request returns app's request for an address. A trailer makes it unique.
func (s *stage) request(target netip.Addr) []byte {
	s.sent++
	request := lab.Request(s.app.MAC, s.app.Addr.Addr(), target).Frame()
	return fmt.Appendf(request, "request %d", s.sent)
}

// datagram returns an IPv4 packet from app's MAC, and from an address, to db. Its data makes it unique.
func (s *stage) datagram(from netip.Addr) []byte {
	s.sent++
	return lab.EchoReply(s.db.MAC, s.app.MAC, from, s.db.Addr.Addr(), fmt.Appendf(nil, "datagram %05d", s.sent)) // an even number of bytes
}

func (s *stage) send(frames ...[]byte) {
	s.Helper()
	for _, frame := range frames {
		labtest.Must(s, s.app.Send(frame))
	}
}

// expectAtDB sends frames as app, and then a mark that every plan admits. When the mark has arrived, it checks whether
// db has received the frames.
func (s *stage) expectAtDB(what string, arrives bool, frames ...[]byte) {
	s.Helper()
	mark := s.datagram(s.app.Addr.Addr())
	s.send(append(frames, mark)...)
	s.eventually("a mark arrives at db", func() bool { return s.db.HasReceived(mark) })
	for _, frame := range frames {
		switch hasArrived := s.db.HasReceived(frame); {
		case hasArrived && !arrives:
			s.Errorf("%s arrives at db: %s", what, responder.Describe(frame))
		case !hasArrived && arrives: // a slow machine may lose one
			s.eventually(what+" arrives at db: "+responder.Describe(frame), func() bool {
				s.send(frame)
				return s.db.HasReceived(frame)
			})
		}
	}
}

func (s *stage) eventually(what string, done func() bool) {
	s.Helper()
	labtest.Eventually(s, what, done)
}

// expectHandedOver waits until a frame is handed over, skips others, and checks its port.
func (s *stage) expectHandedOver(frame []byte, port int) {
	s.Helper()
	s.eventually("the frame is handed over: "+responder.Describe(frame), func() bool {
		for {
			select {
			case f := <-s.reads:
				if f.data != string(frame) {
					continue
				}
				if f.port != port || f.fromHost {
					s.Errorf("it came in by %d, from the host: %v; want %d", f.port, f.fromHost, port)
				}
				return true
			default:
				return false
			}
		}
	})
}
