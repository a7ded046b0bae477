package bpf

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/cilium/ebpf"
)

// A comparison has the program and responder decide about the same frames, of one network after the other.
type comparison struct {
	datapath *Datapath
	links    link.Snapshot
	program  *program
	written  contents // of the program's maps

	network   datapath.Network
	responder *responder.Responder

	// sidecarMAC, unless zero, is the MAC of the ports, which are the interfaces of sidecars.
	sidecarMAC registry.MAC
}

func newComparison(t *testing.T) *comparison {
	t.Helper()
	d, links := open(t)
	labtest.Must(t, d.openAnswers())
	p, err := load(sizes{}.withRoom(), d.answers.shared())
	labtest.Must(t, err)
	t.Cleanup(func() { p.Close() })
	return &comparison{datapath: d, links: links, program: p}
}

// begin begins with another network, as the fabric plans it on a bridge with a guard. write has to follow.
func (c *comparison) begin(name string, r *registry.Registry, policy responder.Policy) {
	n := datapath.Network{
		Name: name, Bridge: "br0", Guests: guestPorts, Uplinks: uplinks, ARP: datapath.HandOver,
		AllowList: datapath.Enforce, Registry: r, DropsSelfProbes: policy.IgnoreSelfProbe,
		UnknownToUplinks: policy.UnknownToUplinks, PassIPv6: policy.PassIPv6, OpenDHCP: policy.OpenDHCP, HostTunnels: policy.HostTunnels,
		Locations: map[registry.MAC]datapath.Location{},
	}
	for _, addr := range policy.Host {
		if addr = addr.Unmap(); addr.Is4() { // the fabric asks the kernel for no others
			n.HostAddresses = append(n.HostAddresses, addr)
		}
	}
	if b, ok := r.Lookup(policy.Gateway); ok {
		n.Gateway = b.MAC
	}
	c.network, c.responder, c.sidecarMAC = n, responder.New(r, policy), registry.MAC{}
}

// write brings the maps of the program to the network, on guest ports, or on interfaces without a guard or of sidecars.
func (c *comparison) write(t *testing.T, onInterfaces bool) {
	t.Helper()
	plan := datapath.Plan{Networks: []datapath.Network{c.network}}
	switch {
	case onInterfaces:
		plan = datapath.Plan{Interfaces: []datapath.Interface{{Network: c.network}}}
	case c.sidecarMAC != registry.MAC{}:
		plan = datapath.Plan{Sidecars: []datapath.Sidecar{{Network: c.network}}}
	}
	want := c.datapath.contentsOf(plan, c.links, always(""))
	for index, port := range want.ports {
		if want.isSidecar(int(index)) {
			port.Source = c.sidecarMAC
			want.ports[index] = port
		}
	}
	labtest.Must(t, c.program.write(c.written, want, c.datapath.ports))
	c.written = want
}

// check runs both on a frame. It returns the reason if the program handles the frame.
func (c *comparison) check(t *testing.T, in responder.Ingress, frame []byte) (reason responder.Reason, isHandled bool) {
	t.Helper()
	port, _ := c.links.Find(in.Port)
	var out [responder.MaxReplyLen]byte
	want := c.responder.Decide(in, frame, out[:])
	program := c.program.Arpfabric
	if in.Kind == responder.Host {
		program = c.program.OwnRequests
	}
	got := run(t, program, port.Index, frame)
	if !got.isHandled {
		if c.mustHandle(in, frame, want) {
			t.Errorf("the program leaves %x, from %s, to the fabric, which decides %s", frame, in.Port, want.Reason)
		}
		return 0, false
	}
	switch {
	case got.reason != want.Reason || actions[got.reason] != want.Action:
		t.Errorf("%x from %s: the program says %s, responder %s %s", frame, in.Port, got.reason, want.Action, want.Reason)
	case want.Action == responder.Reply && !bytes.Equal(got.frame, out[:want.Len]):
		t.Errorf("%x from %s: the program answers\n%x, responder\n%x", frame, in.Port, got.frame, out[:want.Len])
	case want.Action == responder.Pass && !bytes.Equal(got.frame, frame):
		t.Errorf("%x from %s leaves as %x", frame, in.Port, got.frame)
	case want.Action == responder.Pass && c.network.Locations[registry.MAC(frame[:6])].Port != c.nameOf(got.to):
		t.Errorf("%x from %s is sent to %s", frame, in.Port, c.nameOf(got.to))
	case want.Action == responder.Pass && c.nameOf(got.to) == in.Port:
		t.Errorf("%x is sent back to %s", frame, in.Port)
	case in.Kind == responder.Host && registry.MAC(frame[6:12]) != c.sidecarMAC:
		t.Errorf("%x is answered to %s, which is not from there", frame, in.Port)
	case in.AllowList && showsSender(want.Reason) && !c.isAt(registry.MAC(frame[6:12]), in):
		t.Errorf("the program handles %x from %s, which shows the fabric where its sender is", frame, in.Port)
	}
	return want.Reason, true
}

func (c *comparison) nameOf(index int) string {
	l, _ := c.links.FindIndex(index)
	return l.Name
}

func (c *comparison) macOf(name string) registry.MAC {
	l, _ := c.links.Find(name)
	return registry.MAC(l.MAC)
}

// showsSender reports whether frames with a verdict that the program gives show where their sender is. Others need no sender
// address.
func showsSender(reason responder.Reason) bool {
	return reason == responder.Answered || reason == responder.Admitted
}

// isAt reports whether the fabric has located a MAC at a port by one of its addresses.
func (c *comparison) isAt(mac registry.MAC, in responder.Ingress) bool {
	at := c.network.Locations[mac]
	return at.Port == in.Port && !at.MACOnly && mac != in.HostMAC
}

// mustHandle reports whether the program has all that it needs: the sender is the owner of its address and, if there is a
// guard, is located at the port, and the receiver is the owner of its address and is located elsewhere.
func (c *comparison) mustHandle(in responder.Ingress, frame []byte, v responder.Verdict) bool {
	if in.Kind == responder.Host && registry.MAC(frame[6:12]) != c.sidecarMAC {
		return false
	}
	if v.Reason == responder.ConflictProbe || v.Reason == responder.SelfProbe && v.Action == responder.Reply {
		return true
	}
	id := responder.SenderIdentityOf(frame)
	at := registry.MAC(frame[:6])
	isLocated := (!in.AllowList || c.isAt(id.MAC, in)) && c.owns(id.MAC, id.Sender, in.Port)
	switch to := c.network.Locations[at]; v.Reason {
	case responder.Answered:
		return isLocated && !v.AnnouncesHolder
	case responder.Admitted:
		return isLocated && to.Port != "" && to.Port != in.Port && !to.MACOnly && at != in.HostMAC && c.owns(at, id.Target, "") &&
			len(frame) >= 42 && isWhole(frame) && !mayBeDHCP(frame)
	}
	return false
}

// isWhole reports whether a frame has its whole IPv4 packet. responder also admits those that were cut off by a capture.
func isWhole(frame []byte) bool {
	return 14+int(binary.BigEndian.Uint16(frame[16:])) <= len(frame)
}

// mayBeDHCP reports whether an IPv4 packet is to a DHCP server or client, or does not have its ports. The program leaves these
// to the rules, which look into the message.
func mayBeDHCP(frame []byte) bool {
	const udp, offset = 17, 0x1fff
	if frame[23] != udp || binary.BigEndian.Uint16(frame[20:])&offset != 0 {
		return false
	}
	at := 14 + int(frame[14]&0xf)*4 + 2
	if len(frame) < at+2 {
		return true
	}
	port := binary.BigEndian.Uint16(frame[at:])
	return port == 67 || port == 68
}

// owns reports whether an address belongs to a MAC, which may use it on a port; on any if port is "".
func (c *comparison) owns(mac registry.MAC, addr netip.Addr, port string) bool {
	b, ok := c.network.Registry.Lookup(addr)
	return ok && b.MAC == mac && (port == "" || b.Port == "" || b.Port == port)
}

// expectEach checks that the program has handled frames for each of its reasons, with exceptions.
func expectEach(t *testing.T, handled map[responder.Reason]int, except ...responder.Reason) {
	t.Helper()
	for reason := range actions {
		t.Logf("%s: %d frames", reason, handled[reason])
		if handled[reason] == 0 && !slices.Contains(except, reason) {
			t.Errorf("the program has handled no frame as %s", reason)
		}
	}
}

// A result is what the program makes of a frame.
type result struct {
	isHandled bool
	reason    responder.Reason
	to        int // ifindex of the port that an admitted frame is sent to
	frame     []byte
}

// The layout of struct __sk_buff (linux/bpf.h), in bytes.
const contextLen, contextPriority, contextIfindex, contextCB = 192, 32, 40, 48

// The program's results (linux/pkt_cls.h).
const goOn, shot, redirect = ^uint32(0), 2, 7

// run runs a program on a frame from a port, or from the guest whose interface the port is.
func run(t *testing.T, p *ebpf.Program, index int, frame []byte) result {
	t.Helper()
	in, out := make([]byte, contextLen), make([]byte, contextLen)
	binary.NativeEndian.PutUint32(in[contextIfindex:], uint32(index))
	binary.NativeEndian.PutUint32(in[contextPriority:], uint32(index))
	options := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+256), Context: in, ContextOut: out}
	code, err := p.Run(&options)
	if err != nil {
		t.Fatalf("running the program on %x: %v", frame, err)
	}
	r := result{
		reason: responder.Reason(binary.NativeEndian.Uint32(out[contextCB:])),
		to:     int(binary.NativeEndian.Uint32(out[contextCB+4:])), frame: options.DataOut,
	}
	isTold := code == shot && r.reason == 0 // to the fabric, which decides
	r.isHandled = code != goOn && !isTold
	if r.isHandled && code != redirect && (code != shot || r.reason != responder.RateLimited) {
		t.Fatalf("the program returns %d for %x", code, frame)
	}
	return r
}
