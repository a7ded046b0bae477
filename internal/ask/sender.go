package ask

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder"
)

// sender is who asks.
type sender struct {
	nic nic
	mac responder.MAC
	ip  netip.Addr // 0.0.0.0 in a probe
}

// nic is an interface that can be asked from.
type nic struct {
	net.Interface
	bridge  string         // that it is a member of, or ""
	subnets []netip.Prefix // its IPv4 addresses, each with its subnet
}

// findSender returns who asks. It is an error if that interface can't be asked from.
func findSender(q Query) (sender, error) {
	nics, err := listNICs()
	if err != nil {
		return sender{}, err
	}
	return senderAmong(nics, q)
}

// senderAmong does so among these interfaces.
func senderAmong(nics []nic, q Query) (sender, error) {
	n, err := choose(nics, q)
	if err != nil {
		return sender{}, err
	}
	if err := n.check(); err != nil {
		return sender{}, err
	}
	ip, err := n.senderIP(q)
	if err != nil {
		return sender{}, err
	}
	return sender{n, responder.MAC(n.HardwareAddr), ip}, nil
}

func listNICs() ([]nic, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("listing interfaces: %w", err)
	}
	snapshot, err := link.Take()
	if err != nil {
		return nil, err
	}
	var nics []nic
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil {
			return nil, fmt.Errorf("listing the addresses of %s: %w", i.Name, err)
		}
		n := nic{Interface: i, subnets: ipv4Subnets(addrs)}
		if master := snapshot.MasterOf(i.Name); snapshot.IsBridge(master) {
			n.bridge = master
		}
		nics = append(nics, n)
	}
	return nics, nil
}

func ipv4Subnets(addrs []net.Addr) []netip.Prefix {
	var subnets []netip.Prefix
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
			subnets = append(subnets, p)
		}
	}
	return subnets
}

// choose returns the interface that the query names, or else the one with a subnet that the address is in.
func choose(nics []nic, q Query) (nic, error) {
	var found []nic
	var names []string
	for _, n := range nics {
		_, near := n.subnetOf(q.Address)
		if n.Name == q.Interface || q.Interface == "" && near {
			found, names = append(found, n), append(names, n.Name)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nic{}, fmt.Errorf("%s is in a subnet of %s; name one of them with --interface",
			q.Address, strings.Join(names, " and of "))
	case q.Interface == "":
		return nic{}, fmt.Errorf("no interface here has a subnet that %s is in; name one with --interface", q.Address)
	}
	return nic{}, fmt.Errorf("there is no interface %s; `ip link` lists those there are", q.Interface)
}

// subnetOf returns the interface's own address, with its subnet, in the subnet that addr is in.
func (n nic) subnetOf(addr netip.Addr) (netip.Prefix, bool) {
	for _, s := range n.subnets {
		if s.Contains(addr) {
			return s, true
		}
	}
	return netip.Prefix{}, false
}

// check says why nobody would hear what is asked from n, or n would not hear the answers.
func (n nic) check() error {
	switch {
	case n.Flags&net.FlagLoopback != 0 || len(n.HardwareAddr) != len(responder.MAC{}):
		return fmt.Errorf("%s is no Ethernet interface, so there is no ARP", n.Name)
	case n.bridge != "":
		return fmt.Errorf("%s is a member of the bridge %s, which takes all its frames; "+
			"ask from the bridge, or from inside a guest", n.Name, n.bridge)
	case n.Flags&net.FlagUp == 0:
		return fmt.Errorf("%s is down; set it up first: ip link set %s up", n.Name, n.Name)
	case len(n.subnets) == 0:
		// arp.New refuses such an interface, also for a probe.
		return fmt.Errorf("%s has no IPv4 address; give it one first, or ask from another interface", n.Name)
	}
	return nil
}

// senderIP returns the address to ask from.
func (n nic) senderIP(q Query) (netip.Addr, error) {
	if q.Probe {
		return netip.IPv4Unspecified(), nil
	}
	own, near := n.subnetOf(q.Address)
	if !near {
		return netip.Addr{}, fmt.Errorf("%s has no address in a subnet that %s is in, it has %s; "+
			"ask with --probe, which needs none", n.Name, q.Address, listed(n.subnets))
	}
	if own.Addr() == q.Address {
		return netip.Addr{}, fmt.Errorf("%s is the address of %s itself, and asking for it would announce it; "+
			"ask with --probe", q.Address, n.Name)
	}
	return own.Addr(), nil
}

func listed(subnets []netip.Prefix) string {
	var words []string
	for _, s := range subnets {
		words = append(words, s.String())
	}
	return strings.Join(words, " and ")
}
