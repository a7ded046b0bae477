package guard

import (
	"encoding/binary"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The named sets, of interface names.
const (
	setGuests   = "guests"
	setObserved = "observed"
	setSteered  = "steered"
	setTAPs     = "taps"
	setUplinks  = "uplinks"
)

// setTags is the named set of the EtherTypes that announce a VLAN tag.
const setTags = "tags"

// The chains that base chains jump to.
const (
	chainHandOver = "hand_over"
	chainObserve  = "observe"
	chainSteer    = "steer"
	chainButARP   = "all_but_arp"
	chainARPAlone = "arp_alone"
)

// A chain is a chain of the table with its rules. Chains without a hook are jumped to.
type chain struct {
	name  string
	hook  *nftables.ChainHook
	rules []rule
}

type rule struct {
	comment string
	match   []expr.Any
	then    []expr.Any
}

// chains returns the table's chains, those that are jumped to first. group is the NFLOG group.
//
// Prerouting sees every frame from a port before the bridge learns from it. Input is looked at too
// because frames for the link-local group addresses 01:80:c2:00:00:0x take no other way (IEEE 802.1D,
// 7.12.6). Output sees what the host itself sends by the bridge. Forward stands behind, for members that
// are not in the sets yet.
//
// A port may get into a set while its frame is between two rules. So in forward a port is looked for once, and
// what is found decides: a frame is from a guest, without ARP, or it is dropped.
func chains(group uint16) []chain {
	handOver := log(group)
	return []chain{
		{name: chainHandOver, rules: append(arpRules(handOver, drop()), dropDeepStacks)},
		{name: chainObserve, rules: arpRules(handOver)},
		{name: chainSteer, rules: append(arpRules(broadcast()), dropDeepStacks)},
		{name: chainButARP, rules: append(arpRules(drop()), dropDeepStacks, rule{"all else", nil, accept()})},
		{name: chainARPAlone, rules: append(arpRules(accept()), rule{"all else", nil, all(counter(), drop())})},
		{name: "prerouting", hook: nftables.ChainHookPrerouting, rules: []rule{
			{"guests' ARP is for the fabric alone", from(setGuests), jump(chainHandOver)},
			{"classic: ARP floods, and the fabric listens", from(setObserved), jump(chainObserve)},
			{"a TAP hears what is broadcast", from(setSteered), jump(chainSteer)},
		}},
		{name: "input", hook: nftables.ChainHookInput, rules: []rule{
			{"link-local group addresses skip prerouting", from(setGuests), jump(chainHandOver)},
			{"the host is not the fabric", from(setSteered), jump(chainButARP)},
		}},
		{name: "output", hook: nftables.ChainHookOutput, rules: []rule{
			{"the host's ARP is for the fabric too", to(setGuests), jump(chainHandOver)},
			{"the host's ARP is for the TAP alone", to(setSteered), jump(chainButARP)},
			{"the TAP hears ARP alone", to(setTAPs), jump(chainARPAlone)},
		}},
		{name: "forward", hook: nftables.ChainHookForward, rules: []rule{
			{"the TAP hears ARP alone", to(setTAPs), jump(chainARPAlone)},
			{"a guest that was not known in prerouting", from(setGuests), jump(chainButARP)},
			{"guests' ARP is for the TAP alone", from(setSteered), jump(chainButARP)},
			{"a member that is not known yet", all(to(setGuests), notFrom(setUplinks)), all(counter(), drop())},
			{"a member that is not known yet", all(to(setSteered), notFrom(setTAPs)), all(counter(), drop())},
		}},
	}
}

// arpRules match ARP in every form in which some stack takes it for ARP, and do what is said with it. The
// kernel takes the outermost VLAN tag off before it looks: `meta protocol` is what is behind that, and
// the network header starts there.
func arpRules(then ...[]expr.Any) []rule {
	do := all(append([][]expr.Any{counter()}, then...)...)
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

func all(parts ...[]expr.Any) []expr.Any {
	var joined []expr.Any
	for _, p := range parts {
		joined = append(joined, p...)
	}
	return joined
}

func from(set string) []expr.Any    { return all(meta(expr.MetaKeyIIFNAME), in(set, false)) }
func notFrom(set string) []expr.Any { return all(meta(expr.MetaKeyIIFNAME), in(set, true)) }
func to(set string) []expr.Any      { return all(meta(expr.MetaKeyOIFNAME), in(set, false)) }

func meta(key expr.MetaKey) []expr.Any { return []expr.Any{&expr.Meta{Key: key, Register: 1}} }

func in(set string, not bool) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: 1, SetName: set, Invert: not}}
}

func is(value []byte) []expr.Any {
	return []expr.Any{&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: value}}
}

func protocol(etherType uint16) []expr.Any {
	return all(meta(expr.MetaKeyPROTOCOL), is(be16(etherType)))
}

// load takes bytes at an offset from the network header.
func load(offset, length uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}}
}

func network(offset uint32, value []byte) []expr.Any {
	return all(load(offset, uint32(len(value))), is(value))
}

// snapARP matches an LLC/SNAP header (RFC 1042) of any organization code that says ARP.
func snapARP(offset uint32) []expr.Any {
	return all(network(offset, []byte{0xaa, 0xaa, 0x03}), network(offset+6, be16(unix.ETH_P_ARP)))
}

func be16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

func counter() []expr.Any { return []expr.Any{&expr.Counter{}} }

func drop() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}} }

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }

func jump(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}
}

func log(group uint16) []expr.Any {
	return []expr.Any{&expr.Log{Key: 1 << unix.NFTA_LOG_GROUP, Group: group}}
}

// broadcast writes ff:ff:ff:ff:ff:ff over the destination.
func broadcast() []expr.Any {
	const macLen = 6
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		&expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: 1, Base: expr.PayloadBaseLLHeader, Offset: 0, Len: macLen},
	}
}
