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
)

// GuestConfig says how to make a guest.
type GuestConfig struct {
	Name   string           // name of the network namespace, as for `ip netns exec`
	Port   string           // name of the host's end of the veth pair
	Bridge string           // bridge that the port joins; "" for none
	MAC    net.HardwareAddr // MAC of the guest's eth0
	Addr   netip.Prefix     // address of the guest's eth0; zero for none
	MTU    int              // of both ends; 0 for the usual 1500
}

// Guest is a network namespace with one interface, eth0, whose other end is a port on the host.
type Guest struct {
	GuestConfig
	ns netns.NsHandle
}

// AddGuest makes a guest and waits until it can send and receive frames. IPv6 is off on its eth0, so that the guest
// sends nothing by itself.
func AddGuest(config GuestConfig) (*Guest, error) {
	ns, err := newNamespace(config.Name)
	if err != nil {
		return nil, fmt.Errorf("guest %s: making its network namespace: %w", config.Name, err)
	}
	g := &Guest{GuestConfig: config, ns: ns}
	if err := g.Plug(); err != nil {
		return nil, errors.Join(fmt.Errorf("guest %s: %w", config.Name, err), g.Delete())
	}
	return g, nil
}

// newNamespace makes a network namespace and mounts it at /run/netns/name.
func newNamespace(name string) (netns.NsHandle, error) {
	var ns netns.NsHandle
	err := onThread(func() (err error) {
		ns, err = netns.NewNamed(name)
		return err
	})
	return ns, err
}

// Plug makes the veth pair, in this network namespace, and waits until it carries frames. After [Guest.Unplug], the guest may
// be plugged in elsewhere, like one that migrates to another host.
func (g *Guest) Plug() error {
	pair := &netlink.Veth{
		LinkAttrs:        netlink.LinkAttrs{Name: g.Port, MTU: g.MTU},
		PeerName:         "eth0",
		PeerHardwareAddr: g.MAC,
		PeerMTU:          uint32(g.MTU),
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

// Unplug deletes the veth pair, which is in this network namespace.
func (g *Guest) Unplug() error { return DeleteLink(g.Port) }

// waitUntilUp waits until an interface carries frames. The kernel notices only some time later that both ends of the
// pair are up, and drops frames until then.
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
	if err := setUpLoopback(); err != nil {
		return err
	}
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

// Do runs f in the guest's network namespace. Sockets that f opens, and programs that it starts, stay there.
func (g *Guest) Do(f func() error) error {
	return onThread(func() error {
		if err := netns.Set(g.ns); err != nil {
			return fmt.Errorf("entering %s: %w", g.Name, err)
		}
		return f()
	})
}

// onThread runs f on a thread of its own, whose network namespace f may change.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked, so that the thread ends with the goroutine
		done <- f()
	}()
	return <-done
}

// Start starts a program in the guest.
func (g *Guest) Start(cmd *exec.Cmd) error { return g.Do(cmd.Start) }

// Run runs a program in the guest and returns its standard output and standard error, combined.
func (g *Guest) Run(ctx context.Context, name string, args ...string) (string, error) {
	var out []byte
	err := g.Do(func() (err error) {
		out, err = exec.CommandContext(ctx, name, args...).CombinedOutput()
		return err
	})
	return string(out), err
}

// Delete deletes the guest's port and network namespace. Programs that still run in it lose the network.
func (g *Guest) Delete() error {
	err := g.Unplug()
	if e := netns.DeleteNamed(g.Name); err == nil {
		err = e
	}
	if e := g.ns.Close(); err == nil {
		err = e
	}
	return err
}
