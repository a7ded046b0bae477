package guard

import "golang.org/x/sys/unix"

// The chains and the sets of a network have its name behind a word.
const (
	ofGuest   = "guest_"   // what its guests send
	ofARP     = "arp_"     // of that, ARP
	ofIPv4    = "ipv4_"    // IPv4
	ofSource  = "source_"  // IPv4 to somebody who is there
	ofNewcome = "newcome_" // DHCP and RARP: who says only which MAC it has

	ofRate = "rate_" // the ports' ARP, held against the rate limit
	ofHost = "host_" // the host's MACs

	// What is in the registry. A set that begins with `port_` is for bindings that name a port.
	ofBindings     = "bindings_"
	ofRanges       = "ranges_"
	ofMACs         = "macs_"
	ofPortBindings = "port_bindings_"
	ofPortRanges   = "port_ranges_"
	ofPortMACs     = "port_macs_"
	ofBoundMACs    = "bound_macs_"
)

// chains are the network's own, those that are gone to first.
func (n Network) chains() []chain {
	list := []chain{{name: ofARP + n.Name, rules: n.arpRules()}}
	rules := arpRules(goTo(ofARP + n.Name))
	if n.AllowList == AllowAll {
		if n.ARP != Observe {
			rules = append(rules, dropDeepStacks)
		}
		return append(list, chain{name: ofGuest + n.Name, rules: rules})
	}
	list = append(list,
		chain{name: ofNewcome + n.Name, rules: n.newcomeRules()},
		chain{name: ofSource + n.Name, rules: n.sourceRules()},
		chain{name: ofIPv4 + n.Name, rules: n.ipv4Rules()},
	)
	guest := []rule{
		// First, in one rule, what nearly all frames are.
		{"from its own address to a registered MAC", all(isIPv4, isTo(ofMACs+n.Name), isBound(ofBindings+n.Name)), accept()},
		{"all other IPv4", isIPv4, goTo(ofIPv4 + n.Name)},
		{"in the host's name, whom the sets leave out", isFrom(ofHost + n.Name), goTo(n.refuse())},
	}
	guest = append(guest, rules...)
	guest = append(guest, rule{"a guest has moved here", etherType(etherTypeRARP), goTo(ofNewcome + n.Name)})
	if n.PassIPv6 {
		guest = append(guest, rule{"policy ipv6: pass", etherType(unix.ETH_P_IPV6), goTo(ofNewcome + n.Name)})
	}
	guest = append(guest, rule{"tags, other EtherTypes, LLC/SNAP", nil, goTo(n.refuse())})
	return append(list, chain{name: ofGuest + n.Name, rules: guest})
}

// refuse is where what is not on the allow-list goes.
func (n Network) refuse() string {
	if n.AllowList == Report {
		return chainReport
	}
	return chainRefuse
}

func (n Network) arpRules() []rule {
	way := map[ARP]string{HandOver: chainHandOver, Observe: chainObserve, Steer: chainSteer}[n.ARP]
	rules := []rule{{"all other ARP", nil, goTo(way)}}
	if n.RateLimit == 0 {
		return rules
	}
	curb := chainCurb
	if n.ARP == Observe {
		curb = chainUncurbed
	}
	return append([]rule{{"a port's flood", forPort(ofRate+n.Name, over(n.RateLimit)), goTo(curb)}}, rules...)
}

func (n Network) ipv4Rules() []rule {
	return []rule{
		{"to a registered MAC", isTo(ofMACs + n.Name), goTo(ofSource + n.Name)},
		{"to a MAC that is registered with a port", isTo(ofBoundMACs + n.Name), goTo(ofSource + n.Name)},
		{"to the host", isTo(ofHost + n.Name), goTo(ofSource + n.Name)},
		{"a DHCP client's broadcast", dhcpFromNowhere, goTo(ofNewcome + n.Name)},
		{"to a group, or to nobody here", nil, goTo(n.refuse())},
	}
}

// sourceRules say again that it is IPv4, so that nft prints the source address as what it is.
func (n Network) sourceRules() []rule {
	return []rule{
		{"from its own address", all(isIPv4, isBound(ofBindings+n.Name)), accept()},
		{"from its own address, by its own port", all(isIPv4, isBoundHere(ofPortBindings+n.Name)), accept()},
		{"from one of its own addresses", all(isIPv4, isBound(ofRanges+n.Name)), accept()},
		{"from one of its own addresses, by its own port", all(isIPv4, isBoundHere(ofPortRanges+n.Name)), accept()},
		{"from somebody else's address, or nobody's", nil, goTo(n.refuse())},
	}
}

func (n Network) newcomeRules() []rule {
	return []rule{
		{"from a registered MAC", isFrom(ofMACs + n.Name), accept()},
		{"from a registered MAC, by its own port", hasMACHere(ofPortMACs + n.Name), accept()},
		{"from a MAC that nobody has", nil, goTo(n.refuse())},
	}
}
