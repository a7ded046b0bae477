package guard

import (
	"encoding/binary"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
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
func toNot(set string) []expr.Any   { return all(meta(expr.MetaKeyOIFNAME), in(set, true)) }

func meta(key expr.MetaKey) []expr.Any { return []expr.Any{&expr.Meta{Key: key, Register: 1}} }

func in(set string, not bool) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: 1, SetName: set, Invert: not}}
}

func is(value []byte) []expr.Any { return compare(expr.CmpOpEq, value) }

func compare(op expr.CmpOp, value []byte) []expr.Any {
	return []expr.Any{&expr.Cmp{Op: op, Register: 1, Data: value}}
}

// protocol matches the EtherType behind a VLAN tag, if there is one.
func protocol(etherType uint16) []expr.Any {
	return all(meta(expr.MetaKeyPROTOCOL), is(be16(etherType)))
}

// etherType matches the EtherType behind the MACs: that of the tag, if there is one.
func etherType(t uint16) []expr.Any { return all(header(12, 2), is(be16(t))) }

var isIPv4 = etherType(unix.ETH_P_IP)

// header takes bytes of the Ethernet header: the destination is at 0, the source at 6, the EtherType at 12.
func header(offset, length uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseLLHeader, Offset: offset, Len: length}}
}

// load takes bytes at an offset from the network header.
func load(offset, length uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}}
}

func network(offset uint32, value []byte) []expr.Any {
	return all(load(offset, uint32(len(value))), is(value))
}

// The offsets and lengths, in bytes, of what the sets of bindings look at.
const (
	macLen      = 6
	ipLen       = 4
	etherSource = 6  // in the Ethernet header
	ipSource    = 12 // in the IPv4 header
)

// The registers of a lookup that looks at several things together. Each begins where the one before it ends;
// 4 bytes are the unit (linux/netfilter/nf_tables.h: NFT_REG_1 is NFT_REG32_00 to 03, and so on).
const (
	register32 = unix.NFT_REG32_00
	macWords   = 2
	nameWords  = unix.IFNAMSIZ / 4
)

// sourceMAC and sourceIP take a frame's source to a register, counted in words of 4 bytes from the first.
func sourceMAC(word uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: register32 + word, Base: expr.PayloadBaseLLHeader, Offset: etherSource, Len: macLen}}
}

func sourceIP(word uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: register32 + word, Base: expr.PayloadBaseNetworkHeader, Offset: ipSource, Len: ipLen}}
}

// isBound matches IPv4 whose MAC and source are in a set; isBoundHere, whose port is too.
func isBound(set string) []expr.Any {
	return all(sourceMAC(0), sourceIP(macWords), inFirst(set))
}

func isBoundHere(set string) []expr.Any {
	return all(port(), sourceMAC(nameWords), sourceIP(nameWords+macWords), inFirst(set))
}

// hasMACHere matches frames whose port and source are in a set.
func hasMACHere(set string) []expr.Any { return all(port(), sourceMAC(nameWords), inFirst(set)) }

func port() []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: register32}}
}

func inFirst(set string) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: register32, SetName: set}}
}

// isTo matches frames whose destination is in a set of MACs.
func isTo(set string) []expr.Any { return all(header(0, macLen), in(set, false)) }

// isFrom matches frames whose source is in a set of MACs.
func isFrom(set string) []expr.Any { return all(header(etherSource, macLen), in(set, false)) }

// dispatch goes where a map of verdicts says for the port.
func dispatch(ports string) []expr.Any {
	return all(meta(expr.MetaKeyIIFNAME), []expr.Any{&expr.Lookup{SourceRegister: 1, SetName: ports, IsDestRegSet: true}})
}

// onBridge and toBridge match frames from a member of a bridge in a set, and to one.
func onBridge(set string) []expr.Any { return all(meta(expr.MetaKeyBRIIIFNAME), in(set, false)) }
func toBridge(set string) []expr.Any { return all(meta(expr.MetaKeyBRIOIFNAME), in(set, false)) }

// isInVLAN matches frames from a port of a bridge whose untagged frames are in a VLAN.
func isInVLAN(bridge string, vlan uint16) []expr.Any {
	const portVLAN = 28 // NFT_META_BRI_IIFPVID (linux/netfilter/nf_tables.h)
	return all(
		meta(expr.MetaKeyBRIIIFNAME), is([]byte(portKey(bridge))),
		meta(portVLAN), is(binary.NativeEndian.AppendUint16(nil, vlan)),
	)
}

// isUnicast matches frames in the set of unicast: by port, EtherType, and how the kernel takes the destination, which
// is a byte (linux/if_packet.h). A frame for one host is PACKET_OTHERHOST where it came in; what is for the port's own
// MAC is not forwarded.
var isUnicast = all(
	port(),
	[]expr.Any{&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: register32 + nameWords}},
	[]expr.Any{&expr.Meta{Key: expr.MetaKeyPKTTYPE, Register: register32 + nameWords + 1}},
	inFirst(setUnicast),
)

// unicastIPv4 is what stands behind the port in the set: an EtherType and a kind of destination, in words of 4 bytes.
var unicastIPv4 = string(be16(unix.ETH_P_IP)) + "\x00\x00" + string([]byte{unix.PACKET_OTHERHOST, 0, 0, 0})

// snapARP matches an LLC/SNAP header (RFC 1042) of any organization code that says ARP.
func snapARP(offset uint32) []expr.Any {
	return all(network(offset, []byte{0xaa, 0xaa, 0x03}), network(offset+6, be16(unix.ETH_P_ARP)))
}

// dhcpFromNowhere matches what a client broadcasts that has no address yet (RFC 2131, 4.1).
var dhcpFromNowhere = all(
	isIPv4,
	header(0, macLen), is([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}),
	network(ipSource, []byte{0, 0, 0, 0}), network(ipSource+ipLen, []byte{0xff, 0xff, 0xff, 0xff}),
	meta(expr.MetaKeyL4PROTO), is([]byte{unix.IPPROTO_UDP}),
	transport(0, be16(68)), transport(2, be16(67)),
)

// transport matches bytes of the UDP header. There is none in later fragments.
func transport(offset uint32, value []byte) []expr.Any {
	take := &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: uint32(len(value))}
	return all([]expr.Any{take}, is(value))
}

// masked matches bytes of the Ethernet header under a mask.
func masked(offset uint32, mask, value []byte) []expr.Any {
	size := uint32(len(mask))
	and := &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: size, Mask: mask, Xor: make([]byte, size)}
	return all(header(offset, size), []expr.Any{and}, is(value))
}

// toOneHost matches frames whose destination is no group's (IEEE 802-2014, 8.4.1).
var toOneHost = masked(0, []byte{1, 0, 0, 0, 0, 0}, make([]byte, macLen))

// toLinkLocalGroup matches frames for 01:80:c2:00:00:00 to 01:80:c2:00:00:0f (IEEE 802.1D, 7.12.6).
var toLinkLocalGroup = masked(0, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xf0}, []byte{0x01, 0x80, 0xc2, 0, 0, 0})

func be16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

func counter() []expr.Any { return []expr.Any{&expr.Counter{}} }

func drop() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}} }

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }

func jump(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}
}

// goTo is a jump from which nothing returns to the rule behind it.
func goTo(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: chain}}
}

func log(group uint16) []expr.Any {
	return []expr.Any{&expr.Log{Key: 1 << unix.NFTA_LOG_GROUP, Group: group}}
}

// forPort keeps something for each port in a dynamic set. It matches as that does.
func forPort(set string, what expr.Any) []expr.Any {
	return all(meta(expr.MetaKeyIIFNAME), []expr.Any{&expr.Dynset{
		SrcRegKey: 1, SetName: set, Operation: unix.NFT_DYNSET_OP_UPDATE, Exprs: []expr.Any{what},
	}})
}

// countForPort counts by port.
func countForPort(set string) []expr.Any { return forPort(set, &expr.Counter{}) }

// under and over match as long as a port is under a rate, in frames a second, or over it. It may send a
// second's frames at once.
func under(rate uint32) *expr.Limit {
	return &expr.Limit{Type: expr.LimitTypePkts, Rate: uint64(rate), Unit: expr.LimitTimeSecond, Burst: rate}
}

func over(rate uint32) *expr.Limit {
	limit := under(rate)
	limit.Over = true
	return limit
}

// broadcast writes ff:ff:ff:ff:ff:ff over the destination.
func broadcast() []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		&expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: 1, Base: expr.PayloadBaseLLHeader, Offset: 0, Len: macLen},
	}
}
