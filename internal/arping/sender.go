package arping

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// A sender sends the requests.
type sender struct {
	nic nic
	mac registry.MAC
	ip  netip.Addr // 0.0.0.0 in a probe
}

// A nic is an interface that may send the requests.
type nic struct {
	net.Interface
	bridge  string         // whose member it is, or ""
	subnets []netip.Prefix // its IPv4 addresses with their prefix lengths
}

// findSender returns the sender for a query. It returns an error if the interface can't send the requests.
func findSender(q Query) (sender, error) {
	nics, err := listNICs()
	if err != nil {
		return sender{}, err
	}
	return chooseSender(nics, q)
}

// chooseSender returns the sender among these interfaces.
func chooseSender(nics []nic, q Query) (sender, error) {
	n, err := chooseNIC(nics, q)
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
	return sender{n, registry.MAC(n.HardwareAddr), ip}, nil
}

func listNICs() ([]nic, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("listing interfaces: %w", err)
	}
	snapshot, err := link.ReadSnapshot()
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

// chooseNIC returns the query's interface, or else the one whose subnet has the address.
func chooseNIC(nics []nic, q Query) (nic, error) {
	var found []nic
	var names []string
	for _, n := range nics {
		_, inSubnet := n.subnetOf(q.Address)
		if n.Name == q.Interface || q.Interface == "" && inSubnet {
			found, names = append(found, n), append(names, n.Name)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nic{}, fmt.Errorf("%s is in the subnets of %s; choose one with --interface",
			q.Address, strings.Join(names, " and "))
	case q.Interface == "":
		return nic{}, fmt.Errorf("no interface has a subnet with %s; choose one with --interface", q.Address)
	}
	return nic{}, fmt.Errorf("there is no interface %s; `ip link` lists the interfaces", q.Interface)
}

// subnetOf returns the interface's own address in the subnet that has addr, with the prefix length.
func (n nic) subnetOf(addr netip.Addr) (netip.Prefix, bool) {
	for _, s := range n.subnets {
		if s.Contains(addr) {
			return s, true
		}
	}
	return netip.Prefix{}, false
}

// check returns an error if n can't send requests or would not receive the replies.
func (n nic) check() error {
	switch {
	case n.Flags&net.FlagLoopback != 0 || len(n.HardwareAddr) != len(registry.MAC{}):
		return fmt.Errorf("%s is not an Ethernet interface, so it has no ARP", n.Name)
	case n.bridge != "":
		return fmt.Errorf("%s is a member of the bridge %s, which takes all its frames; "+
			"use the bridge, or run inside a guest", n.Name, n.bridge)
	case n.Flags&net.FlagUp == 0:
		return fmt.Errorf("%s is down; set it up first: ip link set %s up", n.Name, n.Name)
	case len(n.subnets) == 0:
		// arp.New refuses such an interface, even for a probe.
		return fmt.Errorf("%s has no IPv4 address; add one first, or use another interface", n.Name)
	}
	return nil
}

// senderIP returns the sender's address.
func (n nic) senderIP(q Query) (netip.Addr, error) {
	if q.Probe {
		return netip.IPv4Unspecified(), nil
	}
	own, inSubnet := n.subnetOf(q.Address)
	if !inSubnet {
		return netip.Addr{}, fmt.Errorf("%s has no address in the same subnet as %s, only %s; "+
			"use --probe, which needs none", n.Name, q.Address, joinPrefixes(n.subnets))
	}
	if own.Addr() == q.Address {
		return netip.Addr{}, fmt.Errorf("%s is the address of %s itself, and a request for it would announce it; "+
			"use --probe", q.Address, n.Name)
	}
	return own.Addr(), nil
}

func joinPrefixes(subnets []netip.Prefix) string {
	var words []string
	for _, s := range subnets {
		words = append(words, s.String())
	}
	return strings.Join(words, " and ")
}
