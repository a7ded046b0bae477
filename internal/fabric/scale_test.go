package fabric_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// TestManyPorts checks that ports need no goroutines and no descriptors, and that a fabric starts with many ports.
func TestManyPorts(t *testing.T) {
	const many = 500
	addBridge(t, bridgeName)
	far := addGuestOutside(t, 9, "far")
	fabric := start(t, network("{bridge: br0}"))
	goroutines, descriptors := runtime.NumGoroutine(), len(listDescriptors(t))
	addPorts(t, far.Guest, many)
	labtest.Eventually(t, "all ports are attached", func() bool { return fabric.portCount() == many })
	const few = 20 // some come and go, independently of the ports; the eBPF program and its maps have 12
	if now := runtime.NumGoroutine(); now > goroutines+few {
		t.Errorf("%d goroutines without ports, %d with %d ports", goroutines, now, many)
	}
	if now := len(listDescriptors(t)); now > descriptors+few {
		t.Errorf("%d descriptors without ports, %d with %d ports", descriptors, now, many)
	}
	fabric.stop()

	begin := time.Now()
	fabric = start(t, network("{bridge: br0}"))
	t.Logf("with %d ports, ready after %v", many, time.Since(begin))
	if n := fabric.portCount(); n != many {
		t.Errorf("%d ports, want %d", n, many)
	}
}

// TestManyNetworks starts a fabric with ten thousand bindings over fifty networks.
func TestManyNetworks(t *testing.T) {
	const networks, bindings = 50, 200
	var text strings.Builder
	text.WriteString("networks:\n")
	for n := range networks {
		addBridge(t, fmt.Sprintf("br%d", n))
		fmt.Fprintf(&text, "  n%d:\n    attach: {bridge: br%d}\n    policy: {sender: any}\n    registry:\n", n, n)
		for i := range bindings {
			fmt.Fprintf(&text, "      10.239.%d.%d: \"02:00:00:00:%02x:%02x\"\n", n, i+1, n, i+1)
		}
	}
	last := addGuestIn(t, fmt.Sprintf("br%d", networks-1), 4, "last")

	begin := time.Now()
	cfg := loadConfig(t, text.String())
	loaded := time.Since(begin)
	fabric := startConfig(t, cfg)
	t.Logf("%d networks, %d bindings each: loaded after %v, ready after %v", networks, bindings, loaded, time.Since(begin))
	fabric.expectPort(t, last.Port)
	target := netip.AddrFrom4([4]byte{10, 239, networks - 1, bindings})
	last.send(t, last.request(target).Frame())
	last.expectAnswer(t, 1, target, registry.MAC{0x02, 0, 0, 0, networks - 1, bindings})
}

// addPorts makes veth pairs. One end of each is a member of br0, the other is in a guest. They are deleted with the
// guest.
func addPorts(t testing.TB, far *lab.Guest, n int) {
	t.Helper()
	here, err := netns.Get()
	labtest.Must(t, err)
	defer here.Close()
	labtest.Must(t, far.Do(func() error {
		for i := range n {
			pair := &netlink.Veth{
				LinkAttrs:     netlink.LinkAttrs{Name: fmt.Sprintf("far%d", i)},
				PeerName:      fmt.Sprintf("many%d", i),
				PeerNamespace: netlink.NsFd(here),
			}
			if err := netlink.LinkAdd(pair); err != nil {
				return err
			}
		}
		return nil
	}))
	for i := range n {
		labtest.Must(t, lab.SetMaster(fmt.Sprintf("many%d", i), bridgeName))
	}
}

// portCount returns how many ports are attached, without the host's own.
func (r *running) portCount() int {
	n := 0
	for _, c := range r.Counts() {
		if c.Port != bridgeName {
			n++
		}
	}
	return n
}
