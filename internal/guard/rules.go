package guard

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The maps from interface names to chains.
const (
	mapPorts      = "ports"      // by which network's rules a port's frames go
	mapForwarding = "forwarding" // and, where an allow-list admitted them, which other members they may reach
)

// The sets of interface names.
const (
	setGuests  = "guests"  // whose ARP is handed over
	setSteered = "steered" // whose ARP is steered to a TAP
	setFull    = "full"    // of these, those whose frames an allow-list admits
	setUplinks = "uplinks"
	setTAPs    = "taps"

	setMembers = "members" // whom an admitted frame may reach: nobody who has joined and is not known yet
	setAsked   = "asked"   // guest ports in classic mode: the fabric hears what the host asks there
	setKnown   = "known"   // all of them
)

// The sets of bridges: of these, a member that is not known gets nowhere, in all VLANs or in some.
const (
	setClosed    = "closed"
	setFiltering = "filtering"
)

// setUnicast is the set of ports with the kinds of frames that the forward chain need not look at any further.
const setUnicast = "unicast"

// setTags is the set of the EtherTypes that announce a VLAN tag.
const setTags = "tags"

// The sets that the kernel fills, by port.
const (
	setRefused = "refused" // how many frames were not on the allow-list
	setCurbed  = "curbed"  // how many ARP frames were over the rate limit
	setSampled = "sampled" // whether more samples may go to the fabric
	setLoud    = "loud"    // whether an uplink is over its rate limit
)

// samplesPerSecond is how many frames of a port that are not on the allow-list the fabric gets to see.
const samplesPerSecond = 50

// uplinkARPPerSecond is how much ARP of an uplink the fabric gets to see: a storm out there is not to keep it from
// answering guests.
const uplinkARPPerSecond = 10_000

// The chains that all networks share.
const (
	chainHandOver  = "hand_over"
	chainObserve   = "observe"
	chainSteer     = "steer"
	chainRefuse    = "refuse"
	chainReport    = "report"
	chainCurb      = "curb"
	chainUncurbed  = "uncurbed"
	chainUplink    = "uplink"
	chainUplinkARP = "uplink_arp"
	chainHostSeen  = "host_seen"
	chainHostAsks  = "host_asks"
	chainButARP    = "all_but_arp"
	chainARPAlone  = "nothing_but_arp"
	chainOfAllowed = "of_allowed"
	chainOfSteered = "of_steered"
	chainVLANs     = "vlans"
	chainLinkLocal = "link_local"
)

// sharedChains are those that the networks' chains go to. group is the NFLOG group.
func sharedChains(group uint16) []chain {
	sample := forPort(setSampled, under(samplesPerSecond))
	return []chain{
		{name: chainHandOver, rules: []rule{{"for the fabric alone", nil, all(log(group), counter(), drop())}}},
		{name: chainObserve, rules: []rule{{"the fabric listens", nil, all(log(group), counter())}}},
		{name: chainSteer, rules: []rule{{"a TAP hears what is broadcast", nil, all(counter(), broadcast())}}},
		{name: chainRefuse, rules: []rule{
			{"how many, by port", nil, countForPort(setRefused)},
			{"the fabric sees samples", sample, log(group)},
			{"not on the allow-list", nil, all(counter(), drop())},
		}},
		{name: chainReport, rules: []rule{
			{"how many, by port", nil, countForPort(setRefused)},
			{"the fabric sees samples", sample, log(group)},
			{"classic: not on the allow-list, and goes on its way", nil, counter()},
		}},
		{name: chainCurb, rules: []rule{{"over the rate limit, by port", nil, all(countForPort(setCurbed), drop())}}},
		{name: chainUncurbed, rules: []rule{{"over the rate limit, by port; unseen, but on its way", nil, countForPort(setCurbed)}}},
		{name: chainUplinkARP, rules: []rule{
			{"a storm", forPort(setLoud, over(uplinkARPPerSecond)), goTo(chainUncurbed)},
			{"all other ARP", nil, goTo(chainObserve)},
		}},
		{name: chainUplink, rules: arpRules(goTo(chainUplinkARP))},
		{name: chainHostSeen, rules: arpRules(goTo(chainObserve))},
		{name: chainHostAsks, rules: append(arpRules(goTo(chainHandOver)), dropDeepStacks)},
		{name: chainButARP, rules: append(arpRules(all(counter(), drop())), dropDeepStacks, rule{"all else", nil, accept()})},
		{name: chainARPAlone, rules: append(arpRules(all(counter(), accept())), rule{"all else", nil, all(counter(), drop())})},
		{name: chainOfAllowed, rules: []rule{
			{"a member that is not known yet", toNot(setMembers), all(counter(), drop())},
			{"to one host", all(protocol(unix.ETH_P_IP), toOneHost), accept()},
			{"DHCP", all(protocol(unix.ETH_P_IP), to(setUplinks)), accept()},
			{"IPv6, where it was let in", protocol(unix.ETH_P_IPV6), accept()},
			{"what is not for other guests: DHCP, and RARP, which has taught the bridge", nil, all(counter(), drop())},
		}},
		{name: chainOfSteered, rules: []rule{
			{"the TAP hears ARP alone", to(setTAPs), goTo(chainARPAlone)},
			{"all other members", nil, goTo(chainOfAllowed)},
		}},
		{name: chainLinkLocal, rules: []rule{{"to the rules of the port's network", nil, dispatch(mapPorts)}}},
	}
}

// baseChains are those that the kernel calls.
//
// Prerouting sees every frame from a port before the bridge learns from it. Input is looked at too
// because frames for the link-local group addresses take no other way. Output sees what the host itself sends by
// the bridge. Forward stands behind, for what must not reach a guest though it has come that far. Where the kernel
// can't tell in prerouting that a member is not known yet, because it doesn't tell of which bridge it is one, forward
// keeps that member from those that are known.
//
// A port may become known while its frame is between two rules. So in forward a port is looked for once, and
// what is found decides: a frame is from a guest, and is what guests may send there, or it is dropped.
func baseChains(namesBridges bool) []chain {
	prerouting := []rule{{"to the rules of the port's network", nil, dispatch(mapPorts)}}
	var unknown []rule // what goes to them
	if namesBridges {
		prerouting = append(prerouting,
			rule{"a member that is not known yet", all(notFrom(setKnown), onBridge(setClosed)), all(counter(), drop())},
			rule{"a member that is not known yet, in some VLANs", onBridge(setFiltering), goTo(chainVLANs)},
		)
		unknown = []rule{{"to a member that is not known yet", all(toNot(setKnown), toBridge(setClosed)), all(counter(), drop())}}
	}
	return []chain{
		{name: "prerouting", hook: nftables.ChainHookPrerouting, rules: prerouting},
		{name: "input", hook: nftables.ChainHookInput, rules: []rule{
			{"link-local group addresses skip prerouting", all(toLinkLocalGroup, from(setGuests)), jump(chainLinkLocal)},
			{"link-local group addresses skip prerouting", all(toLinkLocalGroup, from(setFull)), jump(chainLinkLocal)},
			{"RARP teaches the bridge alone", all(protocol(etherTypeRARP), from(setFull)), all(counter(), drop())},
			{"the host is not the fabric", from(setSteered), jump(chainButARP)},
		}},
		{name: "output", hook: nftables.ChainHookOutput, rules: slices.Concat(unknown, []rule{
			{"the host's ARP is for the fabric too", to(setGuests), jump(chainHostAsks)},
			{"classic: the fabric listens to the host, too", to(setAsked), jump(chainHostSeen)},
			{"the host's ARP is for the TAP alone", to(setSteered), jump(chainButARP)},
			{"the TAP hears ARP alone", to(setTAPs), jump(chainARPAlone)},
		})},
		{name: "forward", hook: nftables.ChainHookForward, rules: slices.Concat([]rule{
			{"IPv4 to one host, which the allow-list has admitted", all(isUnicast, to(setMembers)), accept()}, // most of what there is
			{"what else it has admitted", nil, dispatch(mapForwarding)},
		}, unknown, []rule{
			{"the TAP hears ARP alone", to(setTAPs), jump(chainARPAlone)},
			{"a guest that was not known in prerouting", from(setGuests), jump(chainButARP)},
			{"guests' ARP is for the TAP alone", from(setSteered), jump(chainButARP)},
			{"uplinks' ARP is for the fabric and the host", all(from(setUplinks), to(setGuests)), jump(chainButARP)},
			{"a member that is not known yet", to(setGuests), all(counter(), drop())},
			{"a member that is not known yet", all(to(setSteered), notFrom(setTAPs)), all(counter(), drop())},
		})},
	}
}

// etherTypeRARP announces where a MAC is (RFC 903). QEMU sends it after a migration.
const etherTypeRARP = 0x8035

// arpRules match ARP in every form in which some stack takes it for ARP, and do what is said with it. The
// kernel takes the outermost VLAN tag off before it looks: `meta protocol` is what is behind that, and
// the network header starts there.
func arpRules(do []expr.Any) []rule {
	return []rule{
		{"ARP, with one VLAN tag or none", protocol(unix.ETH_P_ARP), do},
		{"ARP behind LLC/SNAP", all(protocol(unix.ETH_P_802_2), snapARP(0)), do},
		{"ARP behind two VLAN tags", all(behindTag, network(2, be16(unix.ETH_P_ARP))), do},
		{"ARP behind two VLAN tags and LLC/SNAP", all(behindTag, snapARP(4)), do},
	}
}

// dropDeepStacks drops what has more tags than the rules for ARP look behind: a Linux guest takes off any
// number of tags with VLAN ID 0.
var dropDeepStacks = rule{"three VLAN tags or more", all(behindTag, load(2, 2), in(setTags, false)), all(counter(), drop())}

// behindTag matches frames that have another tag behind the outermost.
var behindTag = all(meta(expr.MetaKeyPROTOCOL), in(setTags, false))
