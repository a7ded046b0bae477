package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// GuestConfig says how to make a guest.
type GuestConfig struct {
	Name   string           // of the network namespace, as for `ip netns exec`
	Port   string           // of the host's end of the veth pair
	Bridge string           // that the port is a member of; none if empty
	MAC    net.HardwareAddr // of the guest's eth0
	Addr   netip.Prefix     // of the guest's eth0; none if zero
}

// Guest is a network namespace with one interface, eth0, whose other end is a port on the host.
type Guest struct {
	GuestConfig
	ns netns.NsHandle
}

// AddGuest makes a guest, ready to send and hear frames. Its eth0 has no IPv6, so that it says nothing on its own.
func AddGuest(config GuestConfig) (*Guest, error) {
	ns, err := newNamespace(config.Name)
	if err != nil {
		return nil, fmt.Errorf("guest %s: making its network namespace: %w", config.Name, err)
	}
	g := &Guest{GuestConfig: config, ns: ns}
	if err := g.connect(); err != nil {
		return nil, errors.Join(fmt.Errorf("guest %s: %w", config.Name, err), g.Delete())
	}
	return g, nil
}

// newNamespace makes a network namespace that is mounted at /run/netns/name.
func newNamespace(name string) (netns.NsHandle, error) {
	var ns netns.NsHandle
	err := onThread(func() (err error) {
		ns, err = netns.NewNamed(name)
		return err
	})
	return ns, err
}

// connect makes the veth pair and sets both ends up.
func (g *Guest) connect() error {
	pair := &netlink.Veth{
		LinkAttrs:        netlink.LinkAttrs{Name: g.Port},
		PeerName:         "eth0",
		PeerHardwareAddr: g.MAC,
		PeerNamespace:    netlink.NsFd(g.ns),
	}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("adding veth %s: %w", g.Port, err)
	}
	if err := g.Do(g.setUpInside); err != nil {
		return err
	}
	if g.Bridge != "" {
		if err := SetMaster(g.Port, g.Bridge); err != nil {
			return err
		}
	}
	if err := netlink.LinkSetUp(pair); err != nil {
		return err
	}
	if err := waitUntilUp(g.Port); err != nil {
		return err
	}
	return g.Do(func() error { return waitUntilUp("eth0") })
}

// waitUntilUp waits until an interface carries frames: the kernel drops them until it has noticed, a
// little later, that both ends of the pair are up.
func waitUntilUp(name string) error {
	const patience = 30 * time.Second
	for start := time.Now(); time.Since(start) < patience; time.Sleep(time.Millisecond) {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if l.Attrs().OperState == netlink.OperUp {
			return nil
		}
	}
	return fmt.Errorf("%s is not up after %s", name, patience)
}

func (g *Guest) setUpInside() error {
	err := os.WriteFile("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", []byte("1"), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("turning IPv6 off: %w", err)
	}
	eth0, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	if g.Addr.IsValid() {
		if err := netlink.AddrAdd(eth0, &netlink.Addr{IPNet: ipNet(g.Addr)}); err != nil {
			return fmt.Errorf("adding %s: %w", g.Addr, err)
		}
	}
	return netlink.LinkSetUp(eth0)
}

// Do runs f in the guest's network namespace: sockets that f opens and programs that it starts are the
// guest's.
func (g *Guest) Do(f func() error) error {
	return onThread(func() error {
		if err := netns.Set(g.ns); err != nil {
			return fmt.Errorf("entering %s: %w", g.Name, err)
		}
		return f()
	})
}

// onThread runs f on a thread whose network namespace f may change: the thread ends with f.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		done <- f()
	}()
	return <-done
}

// Start starts a program in the guest.
func (g *Guest) Start(cmd *exec.Cmd) error { return g.Do(cmd.Start) }

// Run runs a program in the guest and returns what it wrote, on both outputs.
func (g *Guest) Run(ctx context.Context, name string, args ...string) (string, error) {
	var out []byte
	err := g.Do(func() (err error) {
		out, err = exec.CommandContext(ctx, name, args...).CombinedOutput()
		return err
	})
	return string(out), err
}

// Neighbors returns the guest's neighbour table, by address: what it has learned. Entries without a MAC are
// left out.
func (g *Guest) Neighbors() (map[netip.Addr]net.HardwareAddr, error) {
	known := map[netip.Addr]net.HardwareAddr{}
	err := g.Do(func() error {
		entries, err := netlink.NeighList(0, unix.AF_INET)
		for _, e := range entries {
			if addr, ok := netip.AddrFromSlice(e.IP.To4()); ok && len(e.HardwareAddr) > 0 && e.State != unix.NUD_NOARP {
				known[addr] = e.HardwareAddr
			}
		}
		return err
	})
	return known, err
}

// ForgetNeighbors empties the guest's neighbour table.
func (g *Guest) ForgetNeighbors() error {
	return g.Do(func() error {
		entries, err := netlink.NeighList(0, unix.AF_INET)
		for _, e := range entries {
			if e.State != unix.NUD_NOARP {
				err = errors.Join(err, netlink.NeighDel(&e))
			}
		}
		return err
	})
}

// Delete removes the guest: its port, its namespace and what runs in it loses its network.
func (g *Guest) Delete() error {
	err := DeleteLink(g.Port)
	if e := netns.DeleteNamed(g.Name); err == nil {
		err = e
	}
	if e := g.ns.Close(); err == nil {
		err = e
	}
	return err
}
