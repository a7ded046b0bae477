package nft

import (
	"slices"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The prefixes of the names of a network's chains and sets. The network's name follows.
const (
	ofGuest       = "guest_"     // chain for all frames from its guests
	ofARP         = "arp_"       // chain for ARP
	ofIPv4        = "ipv4_"      // chain for IPv4
	ofDestination = "to_"        // chain for IPv4, by destination
	ofDHCP        = "dhcp_"      // chain for IPv4 to the ports of DHCP
	ofRouted      = "routed_"    // chain for IPv4 to a router
	ofSource      = "source_"    // chain for IPv4, by source
	ofDelivery    = "deliver_"   // chain for frames from uplinks to its guests
	ofFromHost    = "from_host_" // chain for frames from the host to its guests
	ofReceived    = "received_"  // chain for IPv4 from uplinks and the host to its guests
	ofOutside     = "outside_"   // chain for admitted frames, some of which are for uplinks only
	ofMACOnly     = "mac_only_"  // chain for DHCP and IPv6, of which only the source MAC is checked
	ofOpenDHCP    = "open_dhcp_" // chain for DHCP, of which only the source MAC is checked, and which a MAC without a binding may send
	ofRARP        = "rarp_"      // chain for RARP
	ofNewcomer    = "newcomer_"  // chain for all frames from MACs that are not located behind the port

	ofRate    = "rate_"    // the rate limit of ARP, by port
	ofHost    = "host_"    // the host's MACs
	ofRouters = "routers_" // the MACs that receive IPv4 for any address

	// The sets of the registry. Those that begin with `port_` hold the bindings that name a port, and those that begin with
	// `bound_` hold the same bindings without the port.
	ofBindings      = "bindings_"
	ofRanges        = "ranges_"
	ofMACs          = "macs_"
	ofPortBindings  = "port_bindings_"
	ofPortRanges    = "port_ranges_"
	ofPortMACs      = "port_macs_"
	ofBoundMACs     = "bound_macs_"
	ofBoundBindings = "bound_bindings_"
	ofBoundRanges   = "bound_ranges_"
	ofRoutes        = "routes_"
	ofPortRoutes    = "port_routes_"
	ofRoutesTo      = "routes_to_" // what each router receives for, whatever ports its routes name
)

// chains returns the network's chains. A chain comes before the chains that go to it.
func (n network) chains() []chain {
	list := []chain{{name: ofARP + n.Name, rules: n.arpRules()}}
	rules := arpRules(goTo(ofARP + n.Name))
	if n.AllowList == datapath.AllowAll {
		if n.ARP != datapath.Observe {
			rules = append(rules, dropDeepStacks)
		}
		return append(list, chain{name: ofGuest + n.Name, rules: rules})
	}
	list = append(list,
		chain{name: ofMACOnly + n.Name, rules: n.macOnlyRules(accept())},
		chain{name: ofRARP + n.Name, rules: n.macOnlyRules(n.takeRARP())},
	)
	if n.OpenDHCP {
		list = append(list, chain{name: ofOpenDHCP + n.Name, rules: n.openDHCPRules()})
	}
	list = append(list,
		chain{name: ofSource + n.Name, rules: n.sourceRules()},
		chain{name: ofRouted + n.Name, rules: n.routedRules()},
		chain{name: ofDestination + n.Name, rules: n.destinationRules()},
		chain{name: ofDHCP + n.Name, rules: n.dhcpRules()},
		chain{name: ofIPv4 + n.Name, rules: n.ipv4Rules()},
	)
	if n.AllowList == datapath.Enforce {
		list = append(list,
			chain{name: ofReceived + n.Name, rules: n.receivedRules()},
			chain{name: ofDelivery + n.Name, rules: n.deliveryRules()},
			chain{name: ofFromHost + n.Name, rules: n.fromHostRules()},
		)
	}
	if n.UnknownToUplinks && n.AllowList == datapath.Enforce {
		list = append(list, chain{name: ofOutside + n.Name, rules: n.outsideRules()})
	}
	guest := []rule{
		{"IPv4 that is as long as it says", isWholeIPv4, goTo(ofIPv4 + n.Name)},
		{"from the host's MAC, which no guest may use", isFrom(ofHost + n.Name), goTo(n.refuse())},
	}
	guest = append(guest, rules...)
	guest = append(guest, rule{"RARP, after a migration", etherType(etherTypeRARP), goTo(ofRARP + n.Name)})
	if n.PassIPv6 {
		guest = append(guest, rule{"policy ipv6: pass", etherType(unix.ETH_P_IPV6), goTo(ofMACOnly + n.Name)})
	}
	guest = append(guest, rule{"all else: VLAN tags, other EtherTypes, LLC/SNAP", nil, goTo(n.refuse())})
	list = append(list, chain{name: ofGuest + n.Name, rules: guest})
	if n.HasLocations() {
		list = append(list, chain{name: ofNewcomer + n.Name, rules: n.newcomerRules()})
	}
	return list
}

// entrance returns the chain for frames from a guest port.
func (n network) entrance() string {
	if n.HasLocations() {
		return ofNewcomer + n.Name
	}
	return ofGuest + n.Name
}

// newcomerRules returns the rules for frames from a MAC that is not located behind the port. Bindings to a port are not
// looked up: such a MAC is located without a frame.
func (n network) newcomerRules() []rule {
	rules := []rule{
		{"IPv4 from its own address shows where it is", all(isIPv4, isBound(ofBindings+n.Name)), jump(chainLocate)},
		{"IPv4 from one of its own addresses does, too", all(isIPv4, isBound(ofRanges+n.Name)), jump(chainLocate)},
		{"so does DHCP from a registered MAC", all(dhcpBroadcast, isFrom(ofMACs+n.Name)), jump(chainLocate)},
	}
	if n.PassIPv6 {
		rules = append(rules, rule{"so does IPv6", all(etherType(unix.ETH_P_IPV6), isFrom(ofMACs+n.Name)), jump(chainLocate)})
	}
	return append(rules, rule{"as for all other frames from guests", nil, goTo(ofGuest + n.Name)})
}

// takeRARP returns what to do with RARP from a MAC that may send it.
func (n network) takeRARP() []expr.Any {
	if n.HasLocations() {
		return goTo(chainAnnounce)
	}
	return accept()
}

// refuse returns the chain for frames that are not on the allow-list.
func (n network) refuse() string {
	if n.AllowList == datapath.Report {
		return chainReport
	}
	return chainRefuse
}

func (n network) arpRules() []rule {
	arpMode := map[datapath.ARPMode]string{datapath.HandOver: chainHandOver, datapath.Observe: chainObserve, datapath.Steer: chainSteer}[n.ARP]
	rules := []rule{{"all other ARP", nil, goTo(arpMode)}}
	if n.ARP == datapath.Steer && n.AllowList == datapath.Enforce {
		// On its way to the TAP, the bridge learns from ARP, so only what its sender may send takes that way.
		rules = []rule{
			{"from the owner of its sender address", isOwnersARP(ofBindings + n.Name), goTo(chainSteer)},
			{"from the owner of a range", isOwnersARP(ofRanges + n.Name), goTo(chainSteer)},
			{"all other ARP, past the bridge", nil, goTo(chainHandOver)},
		}
	}
	if n.RateLimit == 0 {
		return rules
	}
	return append([]rule{{"over the port's rate limit", forPort(ofRate+n.Name, over(n.RateLimit)), goTo(n.overLimit())}}, rules...)
}

// overLimit returns the chain for frames over a rate limit.
func (n network) overLimit() string {
	if n.ARP == datapath.Observe {
		return chainOverLimitSeen
	}
	return chainOverLimit
}

func (n network) ipv4Rules() []rule {
	return []rule{
		// Before the rule that accepts, because a DHCP server may be a guest like others.
		{"DHCP, by its ports", isForDHCP, goTo(ofDHCP + n.Name)},
		// Nearly all frames match this.
		{"from its own address, to the owner of the address", all(isIPv4, isBoundTo(ofBindings+n.Name), isBound(ofBindings+n.Name)), accept()},
		{"all other IPv4", nil, goTo(ofDestination + n.Name)},
	}
}

func (n network) destinationRules() []rule {
	return slices.Concat([]rule{
		{"to the host or the gateway", isTo(ofRouters + n.Name), goTo(ofRouted + n.Name)},
	}, n.toOwner(goTo(ofSource+n.Name)), []rule{
		{"a DHCP client's broadcast", dhcpWithoutAddress, goTo(n.dhcpClient())},
		{"a DHCP client's broadcast to rebind its lease", dhcpBroadcast, goTo(ofSource + n.Name)},
	}, n.unknownDestinationRules(), []rule{
		{"to a multicast or unregistered MAC, or to an address that its MAC does not have", nil, goTo(n.refuse())},
	})
}

// toOwner returns rules for IPv4 to the owner of its destination address. They match IPv4 for the same reason as those
// of sourceRules do.
func (n network) toOwner(do []expr.Any) []rule {
	return []rule{
		{"to the owner of the address", all(isIPv4, isBoundTo(ofBindings+n.Name)), do},
		{"to the owner of the address, who is bound to a port", all(isIPv4, isBoundTo(ofBoundBindings+n.Name)), do},
		{"to the owner of a range", all(isIPv4, isBoundTo(ofRanges+n.Name)), do},
		{"to the owner of a range, who is bound to a port", all(isIPv4, isBoundTo(ofBoundRanges+n.Name)), do},
		{"to a router, for its routes", all(isIPv4, isBoundTo(ofRoutesTo+n.Name)), do},
	}
}

func (n network) routedRules() []rule {
	rules := []rule{
		{"for a host, anywhere", all(isIPv4, isToHostAddress), goTo(ofSource + n.Name)},
		{"for a group, in a unicast frame", nil, goTo(n.refuse())},
	}
	if !n.HostTunnels {
		return rules
	}
	return append([]rule{{"VXLAN to the host: only hosts may send into their tunnel", all(isVXLAN, isTo(ofHost+n.Name)), goTo(n.refuse())}}, rules...)
}

// sourceRules returns the rules for IPv4 by its source. They match IPv4 again, although only IPv4 comes here: otherwise
// nft would print the source address as raw bytes.
func (n network) sourceRules() []rule {
	return []rule{
		{"from its own address", all(isIPv4, isBound(ofBindings+n.Name)), accept()},
		{"from its own address, by its own port", all(isIPv4, isBoundHere(ofPortBindings+n.Name)), accept()},
		{"from one of its own addresses", all(isIPv4, isBound(ofRanges+n.Name)), accept()},
		{"from one of its own addresses, by its own port", all(isIPv4, isBoundHere(ofPortRanges+n.Name)), accept()},
		{"from a router, for its routes", all(isIPv4, isBound(ofRoutes+n.Name)), accept()},
		{"from a router, for its routes, by its own port", all(isIPv4, isBoundHere(ofPortRoutes+n.Name)), accept()},
		{"from another guest's address, or an unregistered one", nil, goTo(n.refuse())},
	}
}

// dhcpClient returns the chain for the broadcasts of DHCP clients without an address.
func (n network) dhcpClient() string {
	if n.OpenDHCP {
		return ofOpenDHCP + n.Name
	}
	return ofMACOnly + n.Name
}

// openDHCPRules returns the rules for DHCP from any MAC, unless it is registered with another port.
func (n network) openDHCPRules() []rule {
	return []rule{
		{"from a MAC that is registered with this port", hasMACHere(ofPortMACs + n.Name), accept()},
		{"from a MAC that is registered with another port", isFrom(ofBoundMACs + n.Name), goTo(n.refuse())},
		{"policy dhcp: open: from any other MAC", nil, accept()},
	}
}

// macOnlyRules returns the rules for frames of which only the source MAC is checked. accepted is for those that pass.
func (n network) macOnlyRules(accepted []expr.Any) []rule {
	return []rule{
		{"from a MAC that is registered with this port", hasMACHere(ofPortMACs + n.Name), accepted},
		{"from a MAC that is registered with another port", isFrom(ofBoundMACs + n.Name), goTo(n.refuse())},
		{"from a registered MAC", isFrom(ofMACs + n.Name), accepted},
		{"from an unregistered MAC", nil, goTo(n.refuse())},
	}
}
