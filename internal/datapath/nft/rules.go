package nft

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The maps from interface names to chains.
const (
	mapLocated    = "located"    // the chain of the port's network, for frames that enter from a MAC located there
	mapPorts      = "ports"      // the same for all other frames, by port
	mapForwarding = "forwarding" // the chain for frames that an allow-list has admitted, before they leave
	mapDelivery   = "delivery"   // by egress port: the chain for frames from uplinks to a guest
	mapFromHost   = "from_host"  // by egress port: the chain for frames from the host to a guest
)

// The sets of interface names.
const (
	setGuests  = "guests"  // guest ports whose ARP is handed over
	setSteered = "steered" // guest ports whose ARP is forwarded to a TAP
	setFull    = "full"    // those of the two whose network enforces an allow-list
	setOpen    = "open"    // the other ports of these two
	setUplinks = "uplinks"
	setTAPs    = "taps"

	setMembers  = "members"  // members that an admitted frame may reach; not those that the fabric does not know yet
	setObserved = "observed" // guest ports in classic mode, where the fabric sees the host's ARP
	setKnown    = "known"    // all members of all networks
)

// The sets of bridges on which frames from and to unknown members are dropped.
const (
	setClosed    = "closed"    // in all VLANs
	setFiltering = "filtering" // in some VLANs
)

// setUnicast is the set of ports, EtherTypes and packet types of the frames that forward accepts without further rules.
const setUnicast = "unicast"

// setEqual is the set of pairs of equal half bytes, the higher or the lower half. Rules can't compare two fields of a frame
// (before Linux 6.14), but they can look up whether each half of their bytes is equal.
const setEqual = "equal"

// setTags is the set of the EtherTypes of VLAN tags.
const setTags = "tags"

// The sets that the kernel fills, by port.
const (
	setRefused     = "refused"      // counts frames not on the allow-list
	setRateLimited = "over_limit"   // counts frames over a rate limit
	setSampled     = "sampled"      // limits the samples for the fabric
	setUplinkLimit = "uplink_limit" // limits the ARP of an uplink for the fabric
	setDHCPLimit   = "dhcp_limit"   // limits the messages of a guest port to DHCP servers
	setLocating    = "locating"     // limits the samples by which the fabric learns where a MAC is
	setAnnouncing  = "announcing"   // limits the RARP for the fabric
)

// locatingPerSecond is how many frames per second of a port go to the fabric because they show that a MAC is there.
const locatingPerSecond = 20

// rarpPerSecond is how many RARP frames per second of a port go to the fabric. QEMU sends five after a migration.
const rarpPerSecond = 20

// samplesPerSecond is how many frames per second of a port, of those not on the allow-list, go to the fabric.
const samplesPerSecond = 50

// dhcpPerSecond is how many messages per second a guest port may send to DHCP servers, and dhcpBurst how many at once. A
// client sends a few within some seconds (RFC 2131, 4.1).
const (
	dhcpPerSecond = 10
	dhcpBurst     = 20
)

// uplinkARPPerSecond is how many ARP frames per second of an uplink go to the fabric. With this limit, a broadcast
// storm on the uplink does not keep the fabric from answering guests.
const uplinkARPPerSecond = 10_000

// The chains that all networks share.
const (
	chainHandOver      = "hand_over"
	chainObserve       = "observe"
	chainSteer         = "steer"
	chainRefuse        = "refuse"
	chainReport        = "report"
	chainOverLimit     = "over_limit"
	chainOverLimitSeen = "over_limit_observed"
	chainUplink        = "uplink"
	chainUplinkARP     = "uplink_arp"
	chainHostObserved  = "host_observed"
	chainHostARP       = "host_arp"
	chainNoARP         = "no_arp"
	chainARPOnly       = "only_arp"
	chainAllowedTo     = "allowed_to"
	chainSteeredTo     = "steered_to"
	chainVLANs         = "vlans"
	chainLinkLocal     = "link_local"
	chainLocate        = "locate"
	chainAnnounce      = "announce"
)

// sharedChains returns the chains that the networks' chains go to. group is the NFLOG group.
func sharedChains(group uint16) []chain {
	sample := forPort(setSampled, under(samplesPerSecond))
	return []chain{
		{name: chainHandOver, rules: []rule{{"only to the fabric", nil, all(log(group), counter(), drop())}}},
		{name: chainObserve, rules: []rule{{"a copy to the fabric", nil, all(log(group), counter())}}},
		{name: chainSteer, rules: []rule{{"as a broadcast, so that it reaches the TAP", nil, all(counter(), broadcast())}}},
		{name: chainRefuse, rules: []rule{
			{"count by port", nil, countForPort(setRefused)},
			{"samples for the fabric", sample, log(group)},
			{"not on the allow-list", nil, all(counter(), drop())},
		}},
		{name: chainReport, rules: []rule{
			{"count by port", nil, countForPort(setRefused)},
			{"samples for the fabric", sample, log(group)},
			{"classic: not on the allow-list, but forwarded", nil, counter()},
		}},
		{name: chainLocate, rules: []rule{{"samples for the fabric", forPort(setLocating, under(locatingPerSecond)), logLocation(group)}}},
		{name: chainAnnounce, rules: []rule{
			{"over the port's limit", forPort(setAnnouncing, over(rarpPerSecond)), all(counter(), drop())},
			{"only to the fabric, which sends it to the uplinks", nil, all(log(group), counter(), drop())},
		}},
		{name: chainOverLimit, rules: []rule{{"over the rate limit, by port", nil, all(countForPort(setRateLimited), drop())}}},
		{name: chainOverLimitSeen, rules: []rule{{"over the rate limit, by port: forwarded, without a copy", nil, countForPort(setRateLimited)}}},
		{name: chainUplinkARP, rules: []rule{
			{"over the uplink's rate limit", forPort(setUplinkLimit, over(uplinkARPPerSecond)), goTo(chainOverLimitSeen)},
			{"all other ARP", nil, goTo(chainObserve)},
		}},
		{name: chainUplink, rules: arpRules(goTo(chainUplinkARP))},
		{name: chainHostObserved, rules: arpRules(goTo(chainObserve))},
		{name: chainHostARP, rules: slices.Concat(arpRules(goTo(chainHandOver)), []rule{dropDeepStacks}, writtenTags())},
		{name: chainNoARP, rules: slices.Concat(
			arpRules(all(counter(), drop())), []rule{dropDeepStacks}, writtenTags(), []rule{{"all else", nil, accept()}})},
		{name: chainARPOnly, rules: append(arpRules(all(counter(), accept())), rule{"all else", nil, all(counter(), drop())})},
		{name: chainAllowedTo, rules: []rule{
			{"to a member that the fabric does not know yet", notTo(setMembers), all(counter(), drop())},
			{"unicast IPv4", all(protocol(unix.ETH_P_IP), isToUnicast), accept()},
			{"DHCP requests to uplinks", all(protocol(unix.ETH_P_IP), to(setUplinks)), accept()},
			{"IPv6 that was admitted", protocol(unix.ETH_P_IPV6), accept()},
			{"not for other guests: DHCP requests, and with a TAP RARP", nil, all(counter(), drop())},
		}},
		{name: chainSteeredTo, rules: []rule{
			{"only ARP reaches the TAP", to(setTAPs), goTo(chainARPOnly)},
			{"all other members", nil, goTo(chainAllowedTo)},
		}},
		{name: chainLinkLocal, rules: []rule{{"to the rules of the port's network", nil, dispatch(mapPorts)}}},
	}
}

// baseChains returns the chains with a hook. bridgeMeta says whether rules can match the bridge of a port.
//
// The kernel calls prerouting for every frame from a port, before the bridge learns from it. It calls input, too,
// because frames to the link-local group addresses skip prerouting. It calls output for frames that the host itself
// sends through the bridge. It calls forward last; forward drops frames that must not reach a guest although prerouting
// accepted them. If rules cannot match the bridge of a port, prerouting cannot tell a member that the fabric does not
// know yet from a port of another bridge. Then forward at least isolates that member from the guests.
//
// The fabric may add a port to the sets while a frame is between two rules. So each rule of forward depends on one
// look-up of the ingress port: either the port is a guest's and the frame is one that the guest may send there, or it
// is dropped.
func baseChains(bridgeMeta bool) []chain {
	prerouting := []rule{
		// First, because nearly all frames match it.
		{"from a MAC that is located behind the port, to the rules of the port's network", nil, dispatchLocated(mapLocated)},
		{"all other frames from ports, to the rules of the port's network", nil, dispatch(mapPorts)},
	}
	var toUnknown []rule
	if bridgeMeta {
		prerouting = append(prerouting,
			rule{"from a member that the fabric does not know yet", all(notFrom(setKnown), onBridge(setClosed)), all(counter(), drop())},
			rule{"from a member that the fabric does not know yet, by VLAN", onBridge(setFiltering), goTo(chainVLANs)},
		)
		toUnknown = []rule{{"to a member that the fabric does not know yet", all(notTo(setKnown), toBridge(setClosed)), all(counter(), drop())}}
	}
	return []chain{
		{name: "prerouting", hook: nftables.ChainHookPrerouting, rules: prerouting},
		{name: "input", hook: nftables.ChainHookInput, rules: []rule{
			{"link-local group addresses skip prerouting", all(toLinkLocalGroup, from(setGuests)), jump(chainLinkLocal)},
			{"link-local group addresses skip prerouting", all(toLinkLocalGroup, from(setFull)), jump(chainLinkLocal)},
			{"with a TAP, RARP is only for the bridge to learn from", all(protocol(etherTypeRARP), from(setFull)), all(counter(), drop())},
			{"guests' ARP goes only to the TAP", from(setSteered), jump(chainNoARP)},
		}},
		{name: "output", hook: nftables.ChainHookOutput, rules: slices.Concat(toUnknown, []rule{
			{"from the host, to a guest port with an allow-list", nil, dispatchTo(mapFromHost)},
			{"the host's ARP goes only to the fabric", to(setGuests), jump(chainHostARP)},
			{"classic: a copy of the host's ARP to the fabric", to(setObserved), jump(chainHostObserved)},
			{"the host's ARP goes only to the TAP", to(setSteered), jump(chainNoARP)},
			{"only ARP reaches the TAP", to(setTAPs), jump(chainARPOnly)},
		})},
		{name: "forward", hook: nftables.ChainHookForward, rules: slices.Concat([]rule{
			// First, because most frames match it.
			{"unicast IPv4 that the allow-list has admitted", all(isUnicast, to(setMembers)), accept()},
			{"other frames that the allow-list has admitted", nil, dispatch(mapForwarding)},
		}, toUnknown, []rule{
			{"from uplinks, to a guest port with an allow-list", from(setUplinks), dispatchTo(mapDelivery)},
			{"only ARP reaches the TAP", to(setTAPs), jump(chainARPOnly)},
			{"guests' ARP goes only to the fabric or the TAP", from(setOpen), jump(chainNoARP)},
			{"uplinks' ARP goes only to the fabric and the host", all(from(setUplinks), to(setGuests)), jump(chainNoARP)},
			{"from a member that the fabric does not know yet", to(setGuests), all(counter(), drop())},
			{"from a member that the fabric does not know yet", all(to(setSteered), notFrom(setTAPs)), all(counter(), drop())},
		})},
	}
}

// etherTypeRARP is the EtherType of RARP (RFC 903). QEMU broadcasts a RARP frame after a migration, so that bridges
// learn the guest's new port.
const etherTypeRARP = 0x8035

// arpRules returns rules that match ARP in every form that a receiver may take for ARP. The kernel removes the
// outermost VLAN tag before it calls the chains: `meta protocol` is the EtherType behind that tag, and the network
// header begins there.
func arpRules(do []expr.Any) []rule {
	return []rule{
		{"ARP, with one VLAN tag or none", protocol(unix.ETH_P_ARP), do},
		{"ARP behind LLC/SNAP", all(protocol(unix.ETH_P_802_2), snapARP(0)), do},
		{"ARP behind two VLAN tags", all(behindTag, networkHeader(2, be16(unix.ETH_P_ARP))), do},
		{"ARP behind two VLAN tags and LLC/SNAP", all(behindTag, snapARP(4)), do},
	}
}

// writtenTags returns rules that drop ARP behind VLAN tags that a program of the host has written into the frame, by a
// packet socket. The kernel skips up to eight of these to find the network header (packet_parse_headers in
// net/packet/af_packet.c), so that arpRules do not match. A tag that the kernel has added is not in the frame, and
// arpRules match ARP behind it.
func writtenTags() []rule {
	rules, deeper := taggedARP(all(counter(), drop()))
	return append(rules, rule{"three VLAN tags or more", deeper, all(counter(), drop())})
}

// taggedARP returns rules for ARP behind one or two tags, at offsets from the start of the frame. deeper matches frames
// with more tags.
func taggedARP(do []expr.Any) (rules []rule, deeper []expr.Any) {
	deeper = all(loadFrame(frameType, 2), in(setTags, false))
	for at := uint32(frameType + tagLen); at <= frameType+2*tagLen; at += tagLen {
		rules = append(rules,
			rule{"ARP behind VLAN tags", all(deeper, frame(at, be16(unix.ETH_P_ARP))), do},
			rule{"ARP behind VLAN tags and LLC/SNAP", all(deeper, snapARPAt(at)), do})
		deeper = all(deeper, loadFrame(at, 2), in(setTags, false))
	}
	return rules, deeper
}

// dropDeepStacks drops frames with more VLAN tags than arpRules look behind: a Linux guest removes any number of tags
// with VLAN ID 0.
var dropDeepStacks = rule{"three VLAN tags or more", all(behindTag, load(2, 2), in(setTags, false)), all(counter(), drop())}

// behindTag matches frames with a second VLAN tag.
var behindTag = all(meta(expr.MetaKeyPROTOCOL), in(setTags, false))
