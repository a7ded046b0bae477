package nft

import (
	"slices"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// deliveryRules returns the rules for frames from an uplink to a guest port. Their senders are not checked, except that
// the fabric alone answers ARP. But a guest receives only what is for its own addresses, as from other guests.
func (n network) deliveryRules() []rule {
	return []rule{
		{"IPv4 that is as long as it says", isWholeIPv4, goTo(ofReceived + n.Name)},
		{"bytes that only the EtherType calls IPv4", isIPv4, all(counter(), drop())},
		{"RARP is only for bridges to learn from", protocol(etherTypeRARP), all(counter(), drop())},
		{"all else", nil, goTo(chainNoARP)},
	}
}

// fromHostRules returns the rules for frames from the host to a guest port. The host routes, so it may send from any
// address with its own MAC. An interface on top of the bridge, such as a macvlan, may send IPv4 to one guest from its own
// addresses, or as the gateway. A MAC that is bound to a port is that of a guest.
func (n network) fromHostRules() []rule {
	arp := chainHostARP
	if n.ARP == datapath.Steer {
		arp = chainNoARP
	}
	byHost := isFrom(ofHost + n.Name)
	rules := slices.Concat([]rule{
		// First, because nearly all frames match it.
		{"IPv4 from the host", all(isWholeIPv4, byHost), goTo(ofReceived + n.Name)},
		{"bytes that only the EtherType calls IPv4", all(isIPv4, byHost), all(counter(), drop())},
		{"all else from the host", byHost, goTo(arp)},
	}, arpRules(goTo(arp)), []rule{
		{"a guest would find IPv4 behind a tag", all(header(frameType, 2), in(setTags, false)), all(counter(), drop())},
		{"all else but IPv4", all(header(frameType, 2), compare(expr.CmpOpNeq, be16(unix.ETH_P_IP))), goTo(arp)},
		{"from a MAC that is bound to a port", isFrom(ofBoundMACs + n.Name), all(counter(), drop())},
	})
	for _, own := range []struct {
		comment string
		match   []expr.Any
	}{
		{"from the gateway on top of the bridge", isFrom(ofRouters + n.Name)},
		{"from its own address, on top of the bridge", isBound(ofBindings + n.Name)},
		{"from one of its own addresses, on top of the bridge", isBound(ofRanges + n.Name)},
		{"from a router on top of the bridge", isBound(ofRoutes + n.Name)},
	} {
		rules = append(rules, rule{own.comment, all(isWholeIPv4, isToUnicast, own.match), goTo(ofReceived + n.Name)})
	}
	return append(rules, rule{"from another MAC or address, or to all", nil, all(counter(), drop())})
}

// receivedRules returns the rules for IPv4 that comes from an uplink or the host to a guest port.
func (n network) receivedRules() []rule {
	return slices.Concat(n.toOwner(accept()), []rule{
		{"to the gateway, for a host", all(isTo(ofRouters+n.Name), isIPv4, isToHostAddress), accept()},
		{"a DHCP server's answer", dhcp(67, 68), accept()},
		{"DHCP requests are only for the host and uplinks", dhcp(68, 67), all(counter(), drop())},
		{"to all, or to a group", isToGroup, accept()},
		{"to an address that its MAC does not have", nil, all(counter(), drop())},
	})
}
