package guard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// Sidecar says how an interface is guarded whose network namespace is the guest.
type Sidecar struct {
	Interface string
	Index     int              // ifindex: a chain is bound to the device, and dies with it
	MAC       net.HardwareAddr // of the interface
	Addresses []Range          // that the guest may send from; disjoint, in order
	Observed  bool             // its ARP is handed over and goes on its way, and nothing else is looked at
	ARPOnly   bool             // only ARP is kept; all else leaves
	PassIPv6  bool             // leaves too, where ARPOnly is false
	RateLimit uint32           // ARP frames a second, of each direction; 0 for any number
}

// Range is the IPv4 addresses First to Last, both included.
type Range struct{ First, Last netip.Addr }

// Sidecars is the table `netdev arpfabric` in the kernel, with two chains for each interface: what leaves by it, and
// what comes in. It has nothing in common with the table for bridges.
type Sidecars struct {
	group     uint16
	mark      uint32
	applied   []Sidecar // nil where there is to be no table, empty where it isn't known what the table holds
	installed sidecarState
}

// NewSidecars returns Sidecars that hand frames over on an NFLOG group. Answers with the mark may leave. It does not
// touch the kernel: a table that a fabric left there before stays in force until Apply.
func NewSidecars(group uint16, mark uint32) *Sidecars { return &Sidecars{group: group, mark: mark} }

// Apply makes the kernel guard these interfaces and no others. It replaces the table in one transaction, unless
// that holds them already; the old one is in force until the new one is, and after an error.
func (g *Sidecars) Apply(sidecars []Sidecar) error {
	if len(sidecars) == 0 && g.applied == nil || reflect.DeepEqual(sidecars, g.applied) && g.Intact() {
		return nil
	}
	if len(sidecars) == 0 {
		return g.Remove()
	}
	g.applied = []Sidecar{} // who knows what
	if err := g.replace(sidecars); err != nil {
		return sidecarError(err)
	}
	state, err := inspectSidecars()
	if err == nil && !state.holds(sidecars, g) {
		err = errors.New("somebody else changed it at the same moment")
	}
	if err != nil {
		return sidecarError(err)
	}
	g.applied, g.installed = slices.Clone(sidecars), state
	return nil
}

// Remove takes the table away. It is no error if there is none, or if the kernel can't have one.
func (g *Sidecars) Remove() error {
	g.applied = nil
	c, err := nftables.New()
	if err != nil {
		return sidecarError(err)
	}
	c.AddTable(sidecarTable())
	c.DelTable(sidecarTable())
	if err := c.Flush(); err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EAFNOSUPPORT) {
		return sidecarError(err)
	}
	return nil
}

// IsThere reports whether there is a table, as [Guard.IsThere] does.
func (g *Sidecars) IsThere() bool { return isThere(nftables.TableFamilyNetdev) }

func sidecarTable() *nftables.Table {
	return &nftables.Table{Name: TableName, Family: nftables.TableFamilyNetdev}
}

func (g *Sidecars) replace(sidecars []Sidecar) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	t := sidecarTable()
	c.AddTable(t) // so that there is one to delete
	c.DelTable(t)
	c.AddTable(t)
	tags := &nftables.Set{Table: t, Name: setTags, KeyType: nftables.TypeEtherType}
	if err := c.AddSet(tags, []nftables.SetElement{{Key: be16(unix.ETH_P_8021Q)}, {Key: be16(unix.ETH_P_8021AD)}}); err != nil {
		return err
	}
	for _, s := range sidecars {
		if err := c.AddSet(s.set(t), s.elements()); err != nil {
			return err
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
	c.Table = sidecarTable()
	if ch.hook != nil {
		c.Device = device
	}
	return c
}

// The names of an interface's set and chains are these and its own.
const (
	setAddresses = "addresses_of_"
	chainLeaves  = "leaves_"
	chainEnters  = "enters_"
	chainAsked   = "asked_by_"
	chainHeard   = "heard_by_"
)

func (s *Sidecar) set(t *nftables.Table) *nftables.Set {
	return &nftables.Set{Table: t, Name: setAddresses + s.Interface, KeyType: nftables.TypeIPAddr, Interval: true}
}

func (s *Sidecar) elements() []nftables.SetElement {
	var list []nftables.SetElement
	for _, r := range s.Addresses {
		list = append(list,
			nftables.SetElement{Key: r.First.AsSlice()},
			nftables.SetElement{Key: r.Last.Next().AsSlice(), IntervalEnd: true})
	}
	return list
}

// chains returns the interface's chains, those that are jumped to first.
//
// All of them look at frames as they are on the wire, from the first byte of the Ethernet header on. The protocol that
// the kernel takes a frame for, and where it takes the network header to be, are what the guest says they are when it
// sends by a packet socket. So nothing leaves but what a rule could look at.
func (s *Sidecar) chains(group uint16, mark uint32) []chain {
	asked, heard := chainAsked+s.Interface, chainHeard+s.Interface
	return []chain{
		{name: asked, rules: s.handOver(group, "what the guest asks is for the fabric alone")},
		{name: heard, rules: s.handOver(group, "others' ARP is for the fabric alone")},
		{name: chainLeaves + s.Interface, hook: nftables.ChainHookEgress, rules: s.leaving(mark, asked)},
		{name: chainEnters + s.Interface, hook: nftables.ChainHookIngress, rules: s.arp(heard)},
	}
}

// handOver is what becomes of ARP.
func (s *Sidecar) handOver(group uint16, comment string) []rule {
	var rules []rule
	over, then := drop(), drop()
	if s.Observed {
		over, then, comment = accept(), nil, "classic: ARP goes on its way, and the fabric listens"
	}
	if s.RateLimit > 0 {
		rules = append(rules, rule{"more than the rate limit", fasterThan(s.RateLimit), all(counter(), over)})
	}
	return append(rules, rule{comment, nil, all(counter(), log(group), then)})
}

// leaving is what may leave: with the full guard, what is named. Answers of the fabric's carry its mark. Another
// process that finds the mark out can tell others with it only what the registry says.
func (s *Sidecar) leaving(mark uint32, asked string) []rule {
	if s.Observed {
		return s.arp(asked)
	}
	answer := all(meta(expr.MetaKeyMARK), is(native32(mark)), s.sends(unix.ETH_P_ARP),
		frame(arpOperation, be16(arpReply)), frame(arpSenderMAC, s.MAC), s.fromOwn(arpSenderIP))
	answers := rule{"the fabric's answers", answer, all(counter(), accept())}
	if s.ARPOnly {
		return append(append([]rule{answers}, s.arp(asked)...),
			rule{"all else that can be looked at", frameAtAll(), all(counter(), accept())},
			rule{"ARP, for all that can be seen", nil, all(counter(), drop())})
	}
	own := all(s.sends(unix.ETH_P_IP), s.fromOwn(frameIPSource))
	rules := append([]rule{{"IPv4 from an address of its own", own, all(counter(), accept())}, answers}, s.arp(asked)...)
	rules = append(rules, rule{
		"DHCP before there is an address", all(s.sends(unix.ETH_P_IP), dhcpRequest()), all(counter(), accept()),
	})
	if s.PassIPv6 {
		rules = append(rules, rule{"IPv6 by policy", s.sends(unix.ETH_P_IPV6), all(counter(), accept())})
	}
	return append(rules, rule{"all else", nil, all(counter(), drop())})
}

// arp jumps to a chain with ARP in every form in which some stack takes a frame for ARP. A stack of tags that is
// deeper than that is dropped: Linux takes off any number of tags with VLAN ID 0.
func (s *Sidecar) arp(chain string) []rule {
	rules := []rule{
		{"ARP", frame(frameType, be16(unix.ETH_P_ARP)), jump(chain)},
		{"ARP behind LLC/SNAP", snapARPAt(frameType), jump(chain)},
	}
	tags := all(loadFrame(frameType, 2), in(setTags, false))
	for at := uint32(frameType + tagLen); at <= frameType+2*tagLen; at += tagLen {
		rules = append(rules,
			rule{"ARP behind VLAN tags", all(tags, frame(at, be16(unix.ETH_P_ARP))), jump(chain)},
			rule{"ARP behind VLAN tags and LLC/SNAP", all(tags, snapARPAt(at)), jump(chain)})
		tags = all(tags, loadFrame(at, 2), in(setTags, false))
	}
	if s.Observed {
		return rules
	}
	return append(rules, rule{"three VLAN tags or more", tags, all(counter(), drop())})
}

// Offsets in a frame, in bytes from the start of its Ethernet header (RFC 826, RFC 791, RFC 768).
const (
	frameType     = 12
	tagLen        = 4
	ipStart       = 14
	ipFragment    = ipStart + 6
	ipProtocol    = ipStart + 9
	frameIPSource = ipStart + 12
	udpPorts      = ipStart + 20 // without options
	arpOperation  = 20
	arpSenderMAC  = 22
	arpSenderIP   = 28
)

const arpReply = 2

// sends matches frames of an EtherType from the interface's own MAC.
func (s *Sidecar) sends(kind uint16) []expr.Any {
	return all(frame(etherSource, s.MAC), frame(frameType, be16(kind)))
}

func (s *Sidecar) fromOwn(offset uint32) []expr.Any {
	return all(loadFrame(offset, 4), in(setAddresses+s.Interface, false))
}

// dhcpRequest matches what a DHCP client sends that has no address (RFC 2131, 4.1): whole, or a first fragment.
func dhcpRequest() []expr.Any {
	const withoutOptions, fromClientToServer = 0x45, "\x00\x44\x00\x43"
	whole := []expr.Any{&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 2, Mask: be16(0x1fff), Xor: be16(0)}}
	return all(frame(ipStart, []byte{withoutOptions}), loadFrame(ipFragment, 2), whole, is(be16(0)),
		frame(ipProtocol, []byte{unix.IPPROTO_UDP}), frame(frameIPSource, []byte{0, 0, 0, 0}), frame(udpPorts, []byte(fromClientToServer)))
}

// snapARPAt matches, where the EtherType stands, a length, and behind it an LLC/SNAP header (RFC 1042) of any
// organization code that says ARP.
func snapARPAt(offset uint32) []expr.Any {
	isLength := []expr.Any{&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: be16(unix.ETH_P_802_3_MIN)}}
	return all(loadFrame(offset, 2), isLength, frame(offset+2, []byte{0xaa, 0xaa, 0x03}), frame(offset+8, be16(unix.ETH_P_ARP)))
}

// loadFrame takes bytes at an offset from the start of the frame.
func loadFrame(offset, length uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseLLHeader, Offset: offset, Len: length}}
}

func frame(offset uint32, value []byte) []expr.Any {
	return all(loadFrame(offset, uint32(len(value))), is(value))
}

// frameAtAll matches where a frame's Ethernet header can be found. In what a packet socket sends that says it is tagged
// and goes past the queues (PACKET_QDISC_BYPASS), Linux can't find it, and no rule that looks at the frame matches.
func frameAtAll() []expr.Any {
	return all(loadFrame(frameType, 2), []expr.Any{&expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: be16(0)}})
}

// fasterThan matches what comes faster than a number of frames a second, when it has done so for a second.
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
