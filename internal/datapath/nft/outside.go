package nft

import (
	"github.com/arpfabric/arpfabric/internal/datapath"
	"golang.org/x/sys/unix"
)

// unknownDestinationRules returns the rules that admit IPv4 to MACs without a binding, if the policy says so. What comes
// here is not for the owner of its destination address, and not for the host or the gateway.
func (n network) unknownDestinationRules() []rule {
	if !n.UnknownToUplinks {
		return nil
	}
	return []rule{
		{"to an address that its MAC does not have", isTo(ofMACs + n.Name), goTo(n.refuse())},
		{"to an address that its MAC, registered with a port, does not have", isTo(ofBoundMACs + n.Name), goTo(n.refuse())},
		{"policy unknown_target: uplink, to a host", all(isToUnicast, isIPv4, isToHostAddress), goTo(ofSource + n.Name)},
	}
}

// forwardedBy returns the chain for the network's admitted frames before they leave.
func (n network) forwardedBy() string {
	switch {
	case n.UnknownToUplinks:
		return ofOutside + n.Name
	case n.ARP == datapath.Steer:
		return chainSteeredTo
	}
	return chainAllowedTo
}

// outsideRules returns the rules by which frames to MACs without a binding leave by uplinks only. A bridge floods them to
// all members.
func (n network) outsideRules() []rule {
	return []rule{
		// First, because most frames match it. It accepts nothing that allowed_to would not.
		{"unicast IPv4 to a registered MAC", all(protocol(unix.ETH_P_IP), isTo(ofMACs+n.Name), to(setMembers)), accept()},
		{"to a registered MAC", isTo(ofMACs + n.Name), goTo(chainAllowedTo)},
		{"to a MAC that is registered with a port", isTo(ofBoundMACs + n.Name), goTo(chainAllowedTo)},
		{"to an unregistered MAC, but not by an uplink", all(isToUnicast, notTo(setUplinks)), all(counter(), drop())},
		{"all else", nil, goTo(chainAllowedTo)},
	}
}
