package bpf

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// TestDecidesAsResponder runs the program and responder on the same random frames, with random registries, policies and
// locations. What the program handles, responder decides in the same way. What responder decides from the owner of an
// address whose location is known, the program handles.
func TestDecidesAsResponder(t *testing.T) {
	registries, frames := 250, 4000
	if testing.Short() {
		registries = 10
	}
	addPorts(t)
	both := newComparison(t)
	handled := map[responder.Reason]int{}
	for seed := range registries {
		c := newCase(t, both, rand.New(rand.NewPCG(uint64(seed), 0)))
		for range frames {
			frame := c.frame()
			if reason, ok := c.check(t, c.choosePort(frame), frame); ok {
				handled[reason]++
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	expectEach(t, handled, responder.RateLimited, responder.MisplacedChecksum)
}

var (
	guestPorts = []string{"vnet1", "vnet2"}
	uplinks    = []string{"eth1"}
)

// addPorts makes a bridge with the guest ports, the uplinks, and more ports.
func addPorts(t testing.TB, more ...string) {
	labtest.Must(t, lab.AddBridge("br0"))
	t.Cleanup(func() { lab.DeleteLink("br0") })
	for i, port := range slices.Concat(guestPorts, uplinks, more) {
		guest, err := lab.AddGuest(lab.GuestConfig{
			Name: "of-" + port, Port: port, Bridge: "br0", MAC: net.HardwareAddr{2, 0, 0xff, 0, 0, byte(i)},
			Addr: netip.PrefixFrom(registrytest.Addr(0xac100001+uint32(i)), 24),
		})
		labtest.Must(t, err)
		t.Cleanup(func() { guest.Delete() })
	}
}

// A differentialCase is a random network.
type differentialCase struct {
	*rand.Rand
	*comparison
	onInterfaces bool // the ports are interfaces without a guard
}

const firstAddr, addrs, macs = 0x0aef0000, 24, 7

func newCase(t *testing.T, both *comparison, rng *rand.Rand) *differentialCase {
	t.Helper()
	c := &differentialCase{Rand: rng, comparison: both}
	policy := responder.Policy{
		AnySender: c.oneIn(8), IgnoreSelfProbe: c.oneIn(3), PassIPv6: c.oneIn(2), UnknownToUplinks: c.oneIn(3),
	}
	if c.oneIn(4) {
		policy.DenyMAC = registrytest.MAC("02:00:00:00:de:ee")
	}
	if c.oneIn(2) {
		policy.Host = []netip.Addr{c.addr()}
	}
	r := c.registry(t)
	if c.oneIn(2) {
		policy.Gateway = c.addr()
	}
	c.begin(fmt.Sprint("lab", rng.Uint64()), r, policy)
	if c.oneIn(3) {
		c.network.Host = []registry.MAC{c.mac()}
	}
	c.onInterfaces = c.oneIn(6)
	if !c.onInterfaces && c.oneIn(5) {
		c.sidecarMAC = c.mac()
	}
	for _, port := range append(guestPorts, uplinks...) {
		for range 3 {
			if mac := c.mac(); r.MaySend(mac, port) {
				c.network.Locations[mac] = datapath.Location{Port: port, MACOnly: c.oneIn(8)}
			}
		}
	}
	c.write(t, c.onInterfaces)
	return c
}

func (c *differentialCase) oneIn(n int) bool { return c.IntN(n) == 0 }
func (c *differentialCase) addr() netip.Addr {
	return registrytest.Addr(firstAddr + 1 + c.Uint32N(addrs))
}
func (c *differentialCase) mac() registry.MAC {
	return registry.MAC{2, 0, 0, 0xde, 0x54, byte(c.IntN(macs))}
}
func (c *differentialCase) pick(of ...[]byte) []byte { return of[c.IntN(len(of))] }

// somebody returns a MAC, mostly one whose location is known.
func (c *differentialCase) somebody() registry.MAC {
	for i := range byte(macs) {
		mac := registry.MAC{2, 0, 0, 0xde, 0x54, i}
		if c.network.Locations[mac].Port != "" && c.oneIn(2) {
			return mac
		}
	}
	return c.mac()
}

// registry returns a random registry of addresses, ranges, ports, addresses that move, and routers.
func (c *differentialCase) registry(t *testing.T) *registry.Registry {
	t.Helper()
	var b registry.Builder
	for range 4 + c.IntN(12) {
		binding := registry.Binding{First: c.addr(), MAC: c.mac()}
		binding.Last = binding.First
		if c.oneIn(4) {
			binding.Last = registrytest.Addr(uint32(registry.IPv4Of(binding.First)) + c.Uint32N(8))
		}
		if c.oneIn(4) {
			binding.Port = append(guestPorts, uplinks...)[c.IntN(3)]
		}
		if c.oneIn(5) {
			if other := c.mac(); other != binding.MAC {
				binding.Candidates = registry.MACsOf(binding.MAC, other)
			}
		}
		if c.oneIn(6) {
			binding.Routes = registrytest.Prefixes("10.239.0.0/28")
		}
		b.Add(binding)
	}
	r, err := b.Build()
	if err != nil {
		return c.registry(t) // two of the bindings have the same address
	}
	return r
}

// frame returns a random frame. Most are right in most respects.
func (c *differentialCase) frame() []byte {
	var f []byte
	destination := c.somebody()
	f = append(f, c.pick(destination[:], destination[:], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, []byte{1, 0, 0x5e, 0, 0, 1})...)
	source := c.somebody()
	f = append(f, source[:]...)
	if c.oneIn(2) {
		f = c.appendARP(f, source)
	} else {
		f = c.appendIPv4(f)
	}
	for c.oneIn(6) {
		f[c.IntN(len(f))] = byte(c.Uint32())
	}
	if c.oneIn(20) {
		f = f[:34+c.IntN(len(f)-33)] // the kernel does not test with less than a header of IPv4
	}
	return f
}

func (c *differentialCase) ip() []byte {
	known := c.addr().As4()
	return c.pick(known[:], known[:], known[:], known[:], []byte{0, 0, 0, 0}, []byte{224, 0, 0, 1}, []byte{127, 0, 0, 1},
		[]byte{255, 255, 255, 255}, []byte{192, 0, 2, 1})
}

func (c *differentialCase) appendARP(f []byte, source registry.MAC) []byte {
	f = append(f, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	if c.oneIn(8) {
		f[len(f)-1] = 2
	}
	f = append(append(f, source[:]...), c.ownOr(source, c.ip())...)
	other := c.mac()
	f = append(append(f, other[:]...), c.ip()...)
	return append(f, make([]byte, c.IntN(30))...)
}

// ownOr returns an address of a MAC, mostly, or another.
func (c *differentialCase) ownOr(mac registry.MAC, other []byte) []byte {
	for _, i := range c.Perm(addrs) {
		addr := registrytest.Addr(firstAddr + 1 + uint32(i))
		if b, ok := c.network.Registry.Lookup(addr); ok && b.MAC == mac && !c.oneIn(4) {
			own := addr.As4()
			return own[:]
		}
	}
	return other
}

func (c *differentialCase) appendIPv4(f []byte) []byte {
	destination, source := registry.MAC(f[:6]), registry.MAC(f[6:12])
	payload := c.IntN(100)
	f = append(f, 8, 0, 0x45, 0)
	f = binary.BigEndian.AppendUint16(f, uint16(20+payload))
	f = append(f, 0, 0)
	f = binary.BigEndian.AppendUint16(f, []uint16{0, 0, 0, 0x4000, 0x2000, 185}[c.IntN(6)])
	f = append(f, 64, []byte{1, 6, 17, 17}[c.IntN(4)], 0, 0)
	f = append(append(f, c.ownOr(source, c.ip())...), c.ownOr(destination, c.ip())...)
	at := len(f)
	f = append(f, make([]byte, payload)...)
	if payload >= 4 {
		binary.BigEndian.PutUint16(f[at+2:], []uint16{53, 53, 67, 68}[c.IntN(4)])
	}
	return append(f, make([]byte, c.IntN(2)*20)...)
}

// choosePort returns how a frame enters: mostly by the port behind which its sender is.
func (c *differentialCase) choosePort(frame []byte) responder.Ingress {
	name := guestPorts[c.IntN(len(guestPorts))]
	if at := c.network.Locations[registry.MAC(frame[6:12])]; slices.Contains(guestPorts, at.Port) && !c.oneIn(4) {
		name = at.Port
	}
	isSidecar := c.sidecarMAC != registry.MAC{}
	in := responder.Ingress{Port: name, AllowList: !c.onInterfaces && !isSidecar}
	if len(c.network.Host) > 0 {
		in.HostMAC = c.network.Host[0]
	}
	switch {
	case c.onInterfaces:
		in.Source = c.macOf(name)
	case isSidecar && c.oneIn(2):
		in.Kind = responder.Host
	case isSidecar:
		in.Owner = c.sidecarMAC
	}
	return in
}
