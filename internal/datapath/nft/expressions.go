package nft

import (
	"encoding/binary"

	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A chain is a chain of a table, with its rules.
type chain struct {
	name  string
	hook  *nftables.ChainHook // nil if only other chains jump or go to it
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
func notTo(set string) []expr.Any   { return all(meta(expr.MetaKeyOIFNAME), in(set, true)) }

func meta(key expr.MetaKey) []expr.Any { return []expr.Any{&expr.Meta{Key: key, Register: 1}} }

func in(set string, not bool) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: 1, SetName: set, Invert: not}}
}

func is(value []byte) []expr.Any { return compare(expr.CmpOpEq, value) }

func compare(op expr.CmpOp, value []byte) []expr.Any {
	return []expr.Any{&expr.Cmp{Op: op, Register: 1, Data: value}}
}

// protocol matches the EtherType, in a tagged frame the one behind the outermost VLAN tag.
func protocol(etherType uint16) []expr.Any {
	return all(meta(expr.MetaKeyPROTOCOL), is(be16(etherType)))
}

// etherType matches the EtherType behind the MACs, in a tagged frame that of the outermost VLAN tag.
func etherType(t uint16) []expr.Any { return all(header(12, 2), is(be16(t))) }

var isIPv4 = etherType(unix.ETH_P_IP)

// isWholeIPv4 matches IPv4 whose version, header length and total length fit the frame: of no other packet does the kernel
// know the protocol. So bytes that only the EtherType calls IPv4 pass nowhere. The guest could have the kernel write
// another EtherType after the rules (CHECKSUM_PARTIAL on Linux 6.1), and the bytes would be a packet of that type.
var isWholeIPv4 = all(isIPv4, meta(expr.MetaKeyL4PROTO), compare(expr.CmpOpGte, []byte{0}))

// header loads bytes of the Ethernet header: the destination is at 0, the source at 6, the EtherType at 12.
func header(offset, length uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseLLHeader, Offset: offset, Len: length}}
}

// load loads bytes at an offset from the network header.
func load(offset, length uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}}
}

func networkHeader(offset uint32, value []byte) []expr.Any {
	return all(load(offset, uint32(len(value))), is(value))
}

// The offsets and lengths, in bytes, of the fields that the sets of bindings match.
const (
	macLen      = 6
	ipLen       = 4
	etherSource = 6  // in the Ethernet header
	ipSource    = 12 // in the IPv4 header
	ipTarget    = 16

	ipFragmentOffset = 6 // with the flags above it, in the IPv4 header
)

// The lengths of the fields in the key of a look-up with several fields, in words of 4 bytes. A field begins where the
// one before it ends.
const (
	macWords  = 2
	nameWords = unix.IFNAMSIZ / 4
)

// register returns the register that begins a number of words after the first one. If one of the 16-byte registers
// begins there, register returns that one (linux/netfilter/nf_tables.h: NFT_REG_1 is NFT_REG32_00 to 03, and so on).
// The kernel does the same when it lists rules, so that the rules can be compared.
func register(word uint32) uint32 {
	const wordsInOne = 4
	if word%wordsInOne == 0 {
		return unix.NFT_REG_1 + word/wordsInOne
	}
	return unix.NFT_REG32_00 + word
}

// sourceMAC and sourceIP load a frame's source into a register, counted in words of 4 bytes from the first.
func sourceMAC(word uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: register(word), Base: expr.PayloadBaseLLHeader, Offset: etherSource, Len: macLen}}
}

func sourceIP(word uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: register(word), Base: expr.PayloadBaseNetworkHeader, Offset: ipSource, Len: ipLen}}
}

func targetMAC() []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: register(0), Base: expr.PayloadBaseLLHeader, Offset: 0, Len: macLen}}
}

func targetIP() []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: register(macWords), Base: expr.PayloadBaseNetworkHeader, Offset: ipTarget, Len: ipLen}}
}

// isBoundTo matches IPv4 whose destination MAC and address are in a set.
func isBoundTo(set string) []expr.Any { return all(targetMAC(), targetIP(), inFirst(set)) }

// isOwnersARP matches ARP whose sender address is bound, in a set, to its sender MAC and to its Ethernet source. These are
// equal then, because an address is bound to one MAC.
func isOwnersARP(set string) []expr.Any {
	const senderMAC, senderIP = 8, 14 // in an ARP packet (RFC 826)
	arp := func(word, offset, length uint32) []expr.Any {
		return []expr.Any{&expr.Payload{DestRegister: register(word), Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}}
	}
	return all(
		protocol(unix.ETH_P_ARP),
		sourceMAC(0), arp(macWords, senderIP, ipLen), inFirst(set),
		arp(0, senderMAC, macLen), arp(macWords, senderIP, ipLen), inFirst(set),
	)
}

// isToHostAddress matches IPv4 to an address that a host can have: it is not multicast, broadcast or reserved (224.0.0.0
// and above), and not loopback. The kernel hands a packet to a group to programs, also in a unicast frame, and with
// route_localnet one to a loopback address.
var isToHostAddress = all(
	load(ipTarget, ipLen), compare(expr.CmpOpLt, []byte{224, 0, 0, 0}),
	load(ipTarget, 1), compare(expr.CmpOpNeq, []byte{127}),
)

// isBound matches IPv4 whose source MAC and address are in a set; isBoundHere also looks for the port.
func isBound(set string) []expr.Any {
	return all(sourceMAC(0), sourceIP(macWords), inFirst(set))
}

func isBoundHere(set string) []expr.Any {
	return all(port(), sourceMAC(nameWords), sourceIP(nameWords+macWords), inFirst(set))
}

// hasMACHere matches frames whose port and source MAC are in a set.
func hasMACHere(set string) []expr.Any { return all(port(), sourceMAC(nameWords), inFirst(set)) }

func port() []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: register(0)}}
}

func inFirst(set string) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: register(0), SetName: set}}
}

// isTo matches frames whose destination is in a set of MACs.
func isTo(set string) []expr.Any { return all(header(0, macLen), in(set, false)) }

// isFrom matches frames whose source is in a set of MACs.
func isFrom(set string) []expr.Any { return all(header(etherSource, macLen), in(set, false)) }

// dispatch looks up the ingress port in a map of verdicts, and goes to the chain there. dispatchTo looks up the egress port.
func dispatch(ports string) []expr.Any {
	return all(meta(expr.MetaKeyIIFNAME), []expr.Any{&expr.Lookup{SourceRegister: 1, SetName: ports, IsDestRegSet: true}})
}

func dispatchTo(ports string) []expr.Any {
	return all(meta(expr.MetaKeyOIFNAME), []expr.Any{&expr.Lookup{SourceRegister: 1, SetName: ports, IsDestRegSet: true}})
}

// dispatchLocated looks up the ingress port with the source MAC in a map of verdicts, and goes to the chain there.
func dispatchLocated(located string) []expr.Any {
	return all(port(), sourceMAC(nameWords), []expr.Any{&expr.Lookup{SourceRegister: register(0), SetName: located, IsDestRegSet: true}})
}

// onBridge matches frames from a member of a bridge in a set; toBridge, frames to one.
func onBridge(set string) []expr.Any { return all(meta(expr.MetaKeyBRIIIFNAME), in(set, false)) }
func toBridge(set string) []expr.Any { return all(meta(expr.MetaKeyBRIOIFNAME), in(set, false)) }

// isInVLAN matches frames from a member of a bridge whose untagged frames belong to a VLAN.
func isInVLAN(bridge string, vlan uint16) []expr.Any {
	const portVLAN = 28 // NFT_META_BRI_IIFPVID (linux/netfilter/nf_tables.h)
	return all(
		meta(expr.MetaKeyBRIIIFNAME), is([]byte(portKey(bridge))),
		meta(portVLAN), is(binary.NativeEndian.AppendUint16(nil, vlan)),
	)
}

// isUnicast matches frames whose port, EtherType and packet type are in setUnicast. The packet type is a byte
// (linux/if_packet.h). It is PACKET_OTHERHOST for a unicast frame, except to the port's own MAC, and the bridge does
// not forward a frame to that.
var isUnicast = all(
	port(),
	[]expr.Any{&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: register(nameWords)}},
	[]expr.Any{&expr.Meta{Key: expr.MetaKeyPKTTYPE, Register: register(nameWords + 1)}},
	inFirst(setUnicast),
)

// unicastIPv4 follows the port in an element of setUnicast: an EtherType and a packet type, each padded to 4 bytes.
var unicastIPv4 = string(be16(unix.ETH_P_IP)) + "\x00\x00" + string([]byte{unix.PACKET_OTHERHOST, 0, 0, 0})

// snapARP matches an LLC/SNAP header (RFC 1042) for ARP, with any organization code.
func snapARP(offset uint32) []expr.Any {
	return all(networkHeader(offset, []byte{0xaa, 0xaa, 0x03}), networkHeader(offset+6, be16(unix.ETH_P_ARP)))
}

// dhcpWithoutAddress matches the broadcasts of a DHCP client that has no address yet (RFC 2131, section 4.1).
var dhcpWithoutAddress = all(dhcpBroadcast, networkHeader(ipSource, []byte{0, 0, 0, 0}))

// dhcpBroadcast matches the broadcasts of a DHCP client. A client that rebinds its lease sends them from its own
// address (RFC 2131, section 4.4.5).
var dhcpBroadcast = all(
	isIPv4,
	header(0, macLen), is([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}),
	networkHeader(ipTarget, []byte{0xff, 0xff, 0xff, 0xff}),
	dhcp(68, 67),
)

// dhcp matches UDP from one of DHCP's ports to the other.
func dhcp(from, to uint16) []expr.Any {
	return all(
		meta(expr.MetaKeyL4PROTO), is([]byte{unix.IPPROTO_UDP}),
		load(ipFragmentOffset, 2), isNoLaterFragment, transport(0, be16(from)), transport(2, be16(to)),
	)
}

// isVXLAN matches VXLAN by its UDP port.
var isVXLAN = all(
	transport(2, be16(link.VXLANPort)),
	meta(expr.MetaKeyL4PROTO), is([]byte{unix.IPPROTO_UDP}),
	load(ipFragmentOffset, 2), isNoLaterFragment,
)

// isNoLaterFragment matches a fragment offset of 0 in what is loaded, the flags and the offset. A later fragment has no
// UDP header, but the kernel compares what is in its place. isNoFragment matches whole packets only.
var (
	isNoLaterFragment = isZero(0x1fff)
	isNoFragment      = isZero(0x3fff)
)

// isZero matches if the bits of a mask are 0 in the two bytes that are loaded.
func isZero(mask uint16) []expr.Any {
	return all([]expr.Any{&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 2, Mask: be16(mask), Xor: be16(0)}}, is(be16(0)))
}

// transport matches bytes from the start of the UDP header.
func transport(offset uint32, value []byte) []expr.Any {
	return all(loadTransport(offset, uint32(len(value))), is(value))
}

// transportRange matches a field that is between two values, both included.
func transportRange(offset uint32, first, last []byte) []expr.Any {
	between := &expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: first, ToData: last}
	return all(loadTransport(offset, uint32(len(first))), []expr.Any{between})
}

func loadTransport(offset, length uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: length}}
}

// masked matches bytes of the Ethernet header after a bitwise AND with a mask.
func masked(offset uint32, mask, value []byte) []expr.Any {
	size := uint32(len(mask))
	and := &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: size, Mask: mask, Xor: make([]byte, size)}
	return all(header(offset, size), []expr.Any{and}, is(value))
}

// isToUnicast matches frames to a unicast MAC: the group bit is 0 (IEEE 802-2014, 8.4.1). isToGroup matches the others.
var (
	isToUnicast = masked(0, []byte{1, 0, 0, 0, 0, 0}, make([]byte, macLen))
	isToGroup   = masked(0, []byte{1, 0, 0, 0, 0, 0}, []byte{1, 0, 0, 0, 0, 0})
)

// toLinkLocalGroup matches frames to 01:80:c2:00:00:00 to 01:80:c2:00:00:0f (IEEE 802.1D, 7.12.6).
var toLinkLocalGroup = masked(0, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xf0}, []byte{0x01, 0x80, 0xc2, 0, 0, 0})

func be16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

func counter() []expr.Any { return []expr.Any{&expr.Counter{}} }

func drop() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}} }

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }

func jump(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}
}

// goTo goes to a chain. Unlike after a jump, the kernel does not return to the next rule.
func goTo(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: chain}}
}

func log(group uint16) []expr.Any {
	return []expr.Any{&expr.Log{Key: 1 << unix.NFTA_LOG_GROUP, Group: group}}
}

// logLocation marks the copy of a frame, of which the fabric takes nothing except the location of its source.
func logLocation(group uint16) []expr.Any {
	return []expr.Any{&expr.Log{
		Key: 1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_PREFIX, Group: group, Data: []byte(wire.LocationPrefix),
	}}
}

// setMeta writes to a frame's metadata.
func setMeta(key expr.MetaKey, value uint32) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: native32(value)},
		&expr.Meta{Key: key, SourceRegister: true, Register: 1},
	}
}

// copyTo sends a copy of a frame to the egress of a device.
func copyTo(device uint32) []expr.Any {
	return []expr.Any{&expr.Immediate{Register: 1, Data: native32(device)}, &expr.Dup{RegDev: 1, IsRegDevSet: true}}
}

// forPort keeps a counter or a limit for each ingress port in a dynamic set. It matches if that matches.
func forPort(set string, stateful expr.Any) []expr.Any {
	return all(meta(expr.MetaKeyIIFNAME), []expr.Any{&expr.Dynset{
		SrcRegKey: 1, SetName: set, Operation: unix.NFT_DYNSET_OP_UPDATE, Exprs: []expr.Any{stateful},
	}})
}

// countForPort counts frames by ingress port.
func countForPort(set string) []expr.Any { return forPort(set, &expr.Counter{}) }

// under matches while a port sends fewer frames per second than rate; over, while it sends more. A burst of the frames
// of one second is allowed.
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
