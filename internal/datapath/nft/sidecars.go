package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// SidecarTable is the table `netdev arpfabric` in the kernel. For each sidecar's interface it has one chain on egress
// and one on ingress.
type SidecarTable struct {
	group     uint16
	mark      uint32
	applied   []datapath.Sidecar // nil if there should be no table, empty if the contents of the table are unknown
	installed sidecarState
}

// sidecar has the methods that turn a sidecar of a plan into chains.
type sidecar struct{ datapath.Sidecar }

// NewSidecarTable returns a SidecarTable that hands frames over by an NFLOG group, and lets answers with the mark
// leave. It does not change the kernel: a table that an earlier fabric has left stays in force until Apply.
func NewSidecarTable(group uint16, mark uint32) *SidecarTable {
	return &SidecarTable{group: group, mark: mark}
}

// Apply makes the kernel guard these interfaces and no others. If the table does not do so already, Apply replaces it
// in one transaction, so that either the old table or the new one is in force at any moment. After an error, the old
// one is.
func (g *SidecarTable) Apply(sidecars []datapath.Sidecar) error {
	sidecars = guardsOf(sidecars)
	if len(sidecars) == 0 && g.applied == nil || reflect.DeepEqual(sidecars, g.applied) && g.Intact() {
		return nil
	}
	if len(sidecars) == 0 {
		return g.Remove()
	}
	g.applied = []datapath.Sidecar{} // unknown until the state has been read back
	if err := g.replace(sidecars); err != nil {
		return sidecarError(err)
	}
	state, err := inspectSidecars()
	if err == nil && !state.isOf(sidecars, g) {
		err = errors.New("another process has changed it at the same moment; `nft monitor` shows the changes")
	}
	if err != nil {
		return sidecarError(err)
	}
	g.applied, g.installed = slices.Clone(sidecars), state
	return nil
}

// guardsOf returns sidecars without what does not matter to the table. So a changed registry does not replace it if the
// guest's own addresses are the same.
func guardsOf(sidecars []datapath.Sidecar) []datapath.Sidecar {
	guards := slices.Clone(sidecars)
	for i := range guards {
		guards[i].Network = datapath.Network{}
	}
	return guards
}

// Remove deletes the table. It is no error if there is none, or if the kernel does not support such tables.
func (g *SidecarTable) Remove() error {
	g.forget()
	return removeTable(netdevTable())
}

// forget records that there should be no table.
func (g *SidecarTable) forget() { g.applied, g.installed = nil, sidecarState{} }

// IsThere reports whether there is a table, in the same way as [BridgeTable.IsThere].
func (g *SidecarTable) IsThere() bool { return isThere(nftables.TableFamilyNetdev) }

func netdevTable() *nftables.Table {
	return &nftables.Table{Name: TableName, Family: nftables.TableFamilyNetdev}
}

func (g *SidecarTable) replace(sidecars []datapath.Sidecar) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	t := netdevTable()
	c.AddTable(t) // because to delete a table that is not there is an error
	c.DelTable(t)
	c.AddTable(t)
	tags := &nftables.Set{Table: t, Name: setTags, KeyType: nftables.TypeEtherType}
	if err := c.AddSet(tags, []nftables.SetElement{{Key: be16(unix.ETH_P_8021Q)}, {Key: be16(unix.ETH_P_8021AD)}}); err != nil {
		return err
	}
	for _, one := range sidecars {
		s := sidecar{one}
		for _, ranges := range s.sets() {
			set := &nftables.Set{Table: t, Name: ranges.name, KeyType: nftables.TypeIPAddr, Interval: true}
			if err := c.AddSet(set, ranges.elements()); err != nil {
				return err
			}
		}
		for _, ch := range s.chains(g.group, g.mark) {
			addSidecarChain(c, s.Interface, ch)
		}
	}
	return c.Flush()
}

func addSidecarChain(c *nftables.Conn, device string, ch chain) {
	added := c.AddChain(ch.inSidecarTable(device))
	for _, r := range ch.rules {
		c.AddRule(&nftables.Rule{
			Table:    added.Table,
			Chain:    added,
			Exprs:    slices.Concat(r.match, r.then),
			UserData: userdata.AppendString(nil, userdata.TypeComment, r.comment),
		})
	}
}

func (ch chain) inSidecarTable(device string) *nftables.Chain {
	c := ch.inTable()
	c.Table = netdevTable()
	if ch.hook != nil {
		c.Device = device
	}
	return c
}

// The prefixes of the names of an interface's sets and chains. The interface's name follows.
const (
	setAddresses     = "addresses_of_"
	setRoutes        = "routes_of_"
	chainLeaves      = "leaves_"
	chainEnters      = "enters_"
	chainOutgoingARP = "arp_of_"
	chainIncomingARP = "arp_to_"
)

// A rangeSet is a set of addresses, with its contents.
type rangeSet struct {
	name   string
	ranges []datapath.Range
}

func (s sidecar) sets() []rangeSet {
	return []rangeSet{{setAddresses + s.Interface, s.Addresses}, {setRoutes + s.Interface, s.Routes}}
}

func (s rangeSet) elements() []nftables.SetElement {
	var list []nftables.SetElement
	for _, r := range s.ranges {
		list = append(list,
			nftables.SetElement{Key: r.First.AsSlice()},
			nftables.SetElement{Key: r.Last.Next().AsSlice(), IntervalEnd: true})
	}
	return list
}

// chains returns the interface's chains. A chain comes before the chains that jump to it.
//
// All rules match bytes at offsets from the start of the Ethernet header. The protocol and the network header of a
// frame, as the kernel has them, are not reliable: a guest that sends by a packet socket sets them. A frame leaves only
// if a rule could read its Ethernet header.
func (s sidecar) chains(group uint16, mark uint32) []chain {
	outgoing, incoming := chainOutgoingARP+s.Interface, chainIncomingARP+s.Interface
	return []chain{
		{name: outgoing, rules: s.handOver(group, "the guest's ARP goes only to the fabric", s.ownRequests(mark)...)},
		{name: incoming, rules: s.handOver(group, "others' ARP goes only to the fabric")},
		{name: chainLeaves + s.Interface, hook: nftables.ChainHookEgress, rules: s.leaving(mark, outgoing)},
		{name: chainEnters + s.Interface, hook: nftables.ChainHookIngress, rules: append(s.answers(mark), s.arp(incoming)...)},
	}
}

// ownRequests returns the rule that copies the guest's own requests to the program that may answer them: whole, untagged, from
// the interface's MAC, and with a protocol that does not lie, because tc looks at that. If the program is not there, nobody
// answers, and nothing leaves.
func (s sidecar) ownRequests(mark uint32) []rule {
	if s.Answerer == 0 {
		return nil
	}
	const target, ethernetRequest = 38, "\x00\x01\x08\x00\x06\x04\x00\x01" // RFC 826, from the hardware type to the operation
	isWhole := all(loadFrame(target, ipLen), compare(expr.CmpOpGte, make([]byte, ipLen)))
	isRequest := all(s.sends(unix.ETH_P_ARP), protocol(unix.ETH_P_ARP), frame(ipStart, []byte(ethernetRequest)), isWhole)
	return []rule{{"the guest's own requests go only to the program that answers them", isRequest, all(counter(),
		setMeta(expr.MetaKeyMARK, mark), setMeta(expr.MetaKeyPRIORITY, uint32(s.Index)), copyTo(uint32(s.Answerer)), drop())}}
}

// answers returns the rule for the answers of that program. Nobody on the wire can mark a frame. A guest that sends requests
// to the program itself gets the same answers.
func (s sidecar) answers(mark uint32) []rule {
	if s.Answerer == 0 {
		return nil
	}
	isAnswer := all(meta(expr.MetaKeyMARK), is(native32(mark)), frame(0, s.MAC), frame(frameType, be16(unix.ETH_P_ARP)),
		frame(arpOperation, be16(arpReply)))
	return []rule{{"answers to the guest's own requests", isAnswer, all(counter(), accept())}}
}

// handOver returns the rules for ARP. first come those for what goes elsewhere, within the rate limit.
func (s sidecar) handOver(group uint16, comment string, first ...rule) []rule {
	var rules []rule
	over, then := drop(), drop()
	if s.Observed {
		over, then, comment = accept(), nil, "classic: a copy of ARP to the fabric"
	}
	if s.RateLimit > 0 {
		rules = append(rules, rule{"over the rate limit", fasterThan(s.RateLimit), all(counter(), over)})
	}
	return append(append(rules, first...), rule{comment, nil, all(counter(), log(group), then)})
}

// leaving returns the rules for frames on egress. With the full guard, they accept only the frames that they name. The
// fabric's answers carry a mark. If another process finds the mark out, it can send only answers that the registry
// confirms: with the interface's MAC and an address of its own.
func (s sidecar) leaving(mark uint32, outgoing string) []rule {
	if s.Observed {
		return s.arp(outgoing)
	}
	answer := all(meta(expr.MetaKeyMARK), is(native32(mark)), s.sends(unix.ETH_P_ARP),
		frame(arpOperation, be16(arpReply)), frame(arpSenderMAC, s.MAC), s.isIn(setAddresses, arpSenderIP))
	answers := rule{"the fabric's answers", answer, all(counter(), accept())}
	if s.ARPOnly {
		return append(append([]rule{answers}, s.arp(outgoing)...),
			rule{"all else with an EtherType that can be read", isReadable(), all(counter(), accept())},
			rule{"unreadable, and so maybe ARP", nil, all(counter(), drop())})
	}
	own := all(s.sends(unix.ETH_P_IP), s.isIn(setAddresses, frameIPSource))
	routed := all(s.sends(unix.ETH_P_IP), s.isIn(setRoutes, frameIPSource))
	rules := append([]rule{
		{"IPv4 from an address of its own", own, all(counter(), accept())},
		{"IPv4 of a router, for its routes", routed, all(counter(), accept())},
		answers,
	}, s.arp(outgoing)...)
	rules = append(rules, rule{
		"DHCP requests of a client without an address", all(s.sends(unix.ETH_P_IP), dhcpRequest()), all(counter(), accept()),
	})
	if s.PassIPv6 {
		rules = append(rules, rule{"policy ipv6: pass", s.sends(unix.ETH_P_IPV6), all(counter(), accept())})
	}
	return append(rules, rule{"all else", nil, all(counter(), drop())})
}

// arp returns rules that jump to a chain for ARP in every form that a receiver may take for ARP. They drop frames with
// more VLAN tags than they look behind, because Linux removes any number of tags with VLAN ID 0.
func (s sidecar) arp(chain string) []rule {
	tagged, deeper := taggedARP(jump(chain))
	rules := append([]rule{
		{"ARP", frame(frameType, be16(unix.ETH_P_ARP)), jump(chain)},
		{"ARP behind LLC/SNAP", snapARPAt(frameType), jump(chain)},
	}, tagged...)
	if s.Observed {
		return rules
	}
	return append(rules, rule{"three VLAN tags or more", deeper, all(counter(), drop())})
}

// Offsets in an untagged frame, in bytes from the start of its Ethernet header (RFC 826, RFC 791, RFC 768).
const (
	frameType     = 12
	tagLen        = 4
	ipStart       = 14
	ipFragment    = ipStart + 6
	ipProtocol    = ipStart + 9
	frameIPSource = ipStart + 12
	udpPorts      = ipStart + 20 // behind an IPv4 header without options
	arpOperation  = 20
	arpSenderMAC  = 22
	arpSenderIP   = 28
)

const arpReply = 2

// sends matches frames of an EtherType from the interface's own MAC.
func (s sidecar) sends(kind uint16) []expr.Any {
	return all(frame(etherSource, s.MAC), frame(frameType, be16(kind)))
}

// isIn matches frames with an address at an offset that is in one of the interface's sets.
func (s sidecar) isIn(set string, offset uint32) []expr.Any {
	return all(loadFrame(offset, 4), in(set+s.Interface, false))
}

// dhcpRequest matches the requests of a DHCP client that has no address (RFC 2131, section 4.1), but no later fragment.
func dhcpRequest() []expr.Any {
	const withoutOptions, fromClientToServer = 0x45, "\x00\x44\x00\x43"
	return all(frame(ipStart, []byte{withoutOptions}), loadFrame(ipFragment, 2), isNoLaterFragment,
		frame(ipProtocol, []byte{unix.IPPROTO_UDP}), frame(frameIPSource, []byte{0, 0, 0, 0}), frame(udpPorts, []byte(fromClientToServer)))
}

// snapARPAt matches a length in place of the EtherType at an offset, and behind it an LLC/SNAP header (RFC 1042) for
// ARP, with any organization code.
func snapARPAt(offset uint32) []expr.Any {
	isLength := []expr.Any{&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: be16(unix.ETH_P_802_3_MIN)}}
	return all(loadFrame(offset, 2), isLength, frame(offset+2, []byte{0xaa, 0xaa, 0x03}), frame(offset+8, be16(unix.ETH_P_ARP)))
}

// loadFrame loads bytes at an offset from the start of the frame.
func loadFrame(offset, length uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseLLHeader, Offset: offset, Len: length}}
}

func frame(offset uint32, value []byte) []expr.Any {
	return all(loadFrame(offset, uint32(len(value))), is(value))
}

// isReadable matches every frame whose Ethernet header the kernel can find. A packet socket that bypasses the queues
// (PACKET_QDISC_BYPASS) can send a frame that claims to be tagged. The kernel cannot find the header of such a frame,
// and no rule that loads bytes of it matches.
func isReadable() []expr.Any {
	return all(loadFrame(frameType, 2), []expr.Any{&expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: be16(0)}})
}

// fasterThan matches while more than rate frames per second come. A burst of the frames of one second is allowed.
func fasterThan(rate uint32) []expr.Any {
	return []expr.Any{&expr.Limit{
		Type: expr.LimitTypePkts, Rate: uint64(rate), Unit: expr.LimitTimeSecond, Burst: rate, Over: true,
	}}
}

func native32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

func sidecarError(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("guarding a sidecar: not permitted to change nftables; run as root or with CAP_NET_ADMIN: %w", err)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("guarding a sidecar: the kernel lacks nftables egress chains of the netdev family; it must be "+
			"Linux 5.16 or later, with CONFIG_NF_TABLES_NETDEV, CONFIG_NETFILTER_EGRESS and nfnetlink_log: %w", err)
	}
	return fmt.Errorf("guarding a sidecar (nftables table netdev %s): %w", TableName, err)
}
