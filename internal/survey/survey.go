package survey

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// Options say what is surveyed, and how it is written.
type Options struct {
	Bridge  string
	VLAN    uint16 // of a bridge that filters VLANs; 0 for the whole bridge
	Classic bool   // begin with a dry run
	Root    string // the folder below which leases are looked for: "/", except in tests
	Now     time.Time
}

// A Survey is what the machine knows about a bridge.
type Survey struct {
	Options
	uplinks  []link.Link
	subnet   netip.Prefix // of the host's addresses; the zero Prefix if they have none or several
	gateway  netip.Addr   // the zero Addr if none is known
	router   string       // why gateway is that
	hosts    []host       // sorted by address
	doubts   []doubt      // sorted by address
	silent   []silent     // sorted by port
	leases   []leaseFile  // which have leases of the bridge
	warnings []string
}

// A host is an address with one MAC.
type host struct {
	registry.Binding
	from []string // where it is from
}

// A doubt is an address that several MACs use.
type doubt struct {
	addr netip.Addr
	from []string // MACs with where they are from
}

// A silent guest has a MAC behind a port, and no known address.
type silent struct {
	mac  registry.MAC
	port string
}

// Of surveys a bridge. It returns an error if there is no such bridge, or if no address behind it is known.
func Of(o Options) (*Survey, error) {
	snapshot, err := link.ReadSnapshot()
	if err != nil {
		return nil, err
	}
	if err := check(o, snapshot); err != nil {
		return nil, err
	}
	m, err := readMembers(o, snapshot)
	if err != nil {
		return nil, err
	}
	s := &Survey{Options: o, uplinks: m.uplinks}
	f := &findings{members: m, byAddress: map[netip.Addr][]finding{}}
	if err := s.addHost(f, snapshot); err != nil {
		return nil, err
	}
	s.addLeases(f)
	s.conclude(f)
	if len(s.hosts) == 0 {
		return nil, fmt.Errorf("no address behind %[1]s is known: the host has neither an address nor neighbours there, and no "+
			"lease was found; learn the addresses from the guests' ARP: tcpdump -i %[1]s -c 1000 -w %[1]s.pcap arp, and then "+
			"arpfabric replay --learn %[1]s.pcap", o.Bridge)
	}
	return s, nil
}

// check returns an error if there is no such bridge, or if the VLAN is not one of its VLANs.
func check(o Options, s link.Snapshot) error {
	if !s.IsBridge(o.Bridge) {
		return noBridge(o.Bridge, s)
	}
	vlans := guestVLANs(o.Bridge, s)
	switch {
	case o.VLAN != 0 && !s.FiltersVLANs(o.Bridge):
		return fmt.Errorf("bridge %s does not filter VLANs, so there is no VLAN %d in it; leave --vlan out", o.Bridge, o.VLAN)
	case o.VLAN != 0 && !slices.Contains(vlans, o.VLAN):
		return fmt.Errorf("no guest of bridge %s is in VLAN %d; there are guests in: %s", o.Bridge, o.VLAN, list(vlans))
	case o.VLAN == 0 && len(vlans) > 1:
		return fmt.Errorf("bridge %s has guests in several VLANs: %s; each is a network: select one with --vlan", o.Bridge, list(vlans))
	}
	return nil
}

func noBridge(name string, s link.Snapshot) error {
	what := fmt.Sprintf("there is no interface %s", name)
	if _, ok := s.Find(name); ok {
		what = fmt.Sprintf("%s is not a bridge", name)
		if master := s.MasterOf(name); s.IsBridge(master) {
			return fmt.Errorf("%s; it is a member of bridge %s", what, master)
		}
	}
	bridges := s.Bridges()
	if len(bridges) == 0 {
		return errors.New(what + "; this machine has no bridge")
	}
	return fmt.Errorf("%s; there are these bridges: %s", what, strings.Join(bridges, ", "))
}

// guestVLANs returns the VLANs of the ports that guests are behind, on a bridge that filters VLANs.
func guestVLANs(bridge string, s link.Snapshot) []uint16 {
	if !s.FiltersVLANs(bridge) {
		return nil
	}
	vlans := map[uint16]bool{}
	for _, l := range s.Members(bridge) {
		if !l.LeadsOutside() && l.VLAN != 0 {
			vlans[l.VLAN] = true
		}
	}
	return slices.Sorted(maps.Keys(vlans))
}

func list(vlans []uint16) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(vlans), " ", ", "), "[]")
}

// conclude turns findings into hosts, doubts and silent guests.
func (s *Survey) conclude(f *findings) {
	for _, addr := range slices.SortedFunc(maps.Keys(f.byAddress), netip.Addr.Compare) {
		byMAC := groupByMAC(f.byAddress[addr])
		if own := byMAC[0]; len(byMAC) > 1 && !own.isHost {
			s.doubts = append(s.doubts, doubtAbout(addr, byMAC))
			continue
		}
		s.hosts = append(s.hosts, f.hostOf(addr, byMAC[0]))
	}
	f.addRoutes(s)
	for mac, at := range f.members.behind {
		if !at.LeadsOutside() && !f.hasAddress(mac) {
			s.silent = append(s.silent, silent{mac, at.Name})
		}
	}
	slices.SortFunc(s.silent, func(a, b silent) int {
		return strings.Compare(a.port+" "+a.mac.String(), b.port+" "+b.mac.String())
	})
	if s.gateway.IsValid() && !slices.ContainsFunc(s.hosts, func(h host) bool { return h.First == s.gateway }) {
		s.warnings = append(s.warnings, fmt.Sprintf("The MAC of the gateway %s is not known, and guests need a binding for it. "+
			"Send it something (ping %s), and survey again.", s.gateway, s.gateway))
		s.gateway = netip.Addr{}
	}
}
