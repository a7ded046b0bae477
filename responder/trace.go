package responder

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

// Trace is what Handle or Admit makes of one frame, with the rows of its table that were tried on the way.
type Trace struct {
	Verdict Verdict
	Rows    []Row // top to bottom; the last is the one that fits, and its reason is the verdict's
}

// Row is a row of a decision table as it was tried on a frame.
type Row struct {
	Reason   Reason
	Fits     bool
	Compared string   // what of the frame was held against what: "10.239.0.102 is bound to 02:00:07:de:54:a8"
	Binding  *Binding // that the frame was held against; nil where there is none
	Setting  string   // of the policy that the row depends on, as in a configuration: "sender: strict"; else empty
}

// Trace decides about a frame with [Responder.Handle], which writes the answer into out, and returns the rows that
// were tried beside the verdict. It is for people to read, and takes its time.
func (r *Responder) Trace(in In, frame, out []byte) Trace {
	t := tracer{responder: r, in: in}
	t.handle(frame)
	return Trace{Verdict: r.Handle(in, frame, out), Rows: t.rows}
}

// TraceAdmit does the same with [Responder.Admit].
func (r *Responder) TraceAdmit(in In, frame []byte) Trace {
	t := tracer{responder: r, in: in}
	t.admit(frame)
	return Trace{Verdict: r.Admit(in, frame), Rows: t.rows}
}

// A tracer tries the rows of a decision table one after the other. It has them a second time, beside Handle and
// Admit, so that those have no branch for it; FuzzTrace holds that both find the same row.
type tracer struct {
	responder *Responder
	in        In
	rows      []Row
}

// try notes a row, and reports whether it fits.
func (t *tracer) try(reason Reason, fits bool, format string, args ...any) bool {
	t.rows = append(t.rows, Row{Reason: reason, Fits: fits, Compared: fmt.Sprintf(format, args...)})
	return fits
}

// tryBinding notes a row that depends on a binding, where there is one, and on a setting, where that isn't empty.
func (t *tracer) tryBinding(reason Reason, fits bool, b *Binding, setting, compared string) bool {
	t.rows = append(t.rows, Row{reason, fits, compared, b, setting})
	return fits
}

// handle tries the rows of Handle.
func (t *tracer) handle(frame []byte) {
	var p packet
	form := p.parse(frame)
	whole := wholeness(form == 0, "ARP packet for IPv4 over Ethernet II", len(frame))
	if t.try(NotARP, form == NotARP, "%s", etherTypeOf(frame)) || t.try(Malformed, form == Malformed, "%s", whole) {
		return
	}
	if t.form(&p) || t.sender(&p) || t.try(GuestReply, p.operation == arp.OperationReply, "%s", t.askedOrReplied(&p)) {
		return
	}
	t.target(&p)
}

// form tries the rows of checkForm.
func (t *tracer) form(p *packet) bool {
	tagged := p.tags > 1 || p.tags == 1 && !t.in.Trunk
	known := p.operation == arp.OperationRequest || p.operation == arp.OperationReply
	return t.try(UnexpectedVLAN, tagged, "%s", t.tags(p.tags)) ||
		t.try(UnsupportedOperation, !known, "the operation is %s", operationName(p.operation)) ||
		t.try(RateLimited, t.in.OverLimit, "the port is %s its rate limit", choose(t.in.OverLimit, "over", "within")) ||
		t.try(InvalidSenderMAC, !p.senderMAC.IsUnicast(), "the sender's MAC %s is %s", p.senderMAC, station(p.senderMAC)) ||
		t.try(SenderMACMismatch, p.src != p.senderMAC, "the Ethernet source is %s, the sender's MAC %s",
			p.src, p.senderMAC) ||
		t.try(InvalidSenderIP, p.senderIP.cannotSend(), "a host %s send from %s",
			choose(p.senderIP.cannotSend(), "can't", "can"), p.senderIP)
}

// sender tries the rows of checkSender.
func (t *tracer) sender(p *packet) bool {
	why := ""
	setting := "sender: " + choose(t.responder.policy.AnySender, "any", "strict")
	switch {
	case t.in.Uplink:
		why, setting = "the port is an uplink: its senders are not checked", ""
	case t.responder.policy.AnySender:
		why = "everybody may ask"
	case p.senderIP == 0:
		why, setting = "a probe comes from no address", ""
	}
	if why != "" {
		return t.tryBinding(UnregisteredSender, false, nil, setting, why) ||
			t.tryBinding(SpoofedSender, false, nil, setting, why)
	}
	b := t.binding(p.senderIP)
	return t.tryBinding(UnregisteredSender, b == nil, b, setting, boundTo(p.senderIP, b)) ||
		t.tryBinding(SpoofedSender, !t.owns(b, p.senderMAC), b, setting, t.ownership(b, p.senderMAC))
}

// target tries the rows of answer.
func (t *tracer) target(p *packet) {
	policy, probe := t.responder.policy, p.senderIP == 0
	isHosts := slices.Contains(t.responder.host, p.targetIP)
	if t.try(Announcement, p.senderIP == p.targetIP, "%s asks for %s", p.senderIP, p.targetIP) ||
		t.try(HostAddress, isHosts, "%s %s the host's own", p.targetIP, choose(isHosts, "is", "is not")) {
		return
	}
	b := t.binding(p.targetIP)
	bound, setting := boundTo(p.targetIP, b), ""
	if only := t.in.Owner; only != (MAC{}) && (b == nil || b.MAC != only) {
		bound = fmt.Sprintf("%s, and only the addresses of %s are answered for here", bound, only)
		t.tryBinding(UnknownTarget, true, b, "", bound)
		return
	}
	if b == nil && probe && t.in.Uplink {
		bound += ", and what is behind an uplink may have addresses that have none"
	} else if b == nil && probe {
		setting = "unallocated_probe: " + choose(policy.DenyMAC != MAC{}, "deny", "drop")
	}
	denied := b == nil && probe && !t.in.Uplink && policy.DenyMAC != MAC{}
	if t.tryBinding(UnknownTarget, b == nil && !denied, b, setting, bound) ||
		t.tryBinding(UnallocatedProbe, denied, b, setting, bound) {
		return
	}
	t.owner(p, b, probe)
}

// owner tries the rows for a target with a binding.
func (t *tracer) owner(p *packet, b *Binding, probe bool) {
	asker := choose(probe, "a probe", fmt.Sprintf("no probe: it comes from %s", p.senderIP))
	compared := fmt.Sprintf("%s by %s, for an address of %s", asker, p.senderMAC, b.MAC)
	setting := "self_probe: " + choose(t.responder.policy.IgnoreSelfProbe, "drop", "answer")
	if !probe {
		compared, setting = asker, ""
	}
	_ = t.tryBinding(SelfProbe, probe && b.MAC == p.senderMAC, b, setting, compared) ||
		t.tryBinding(ConflictProbe, probe, b, "", compared) ||
		t.tryBinding(Answered, true, b, "", boundTo(p.targetIP, b))
}

// admit tries the rows of Admit.
func (t *tracer) admit(frame []byte) {
	const header = "Ethernet header"
	if t.try(Malformed, len(frame) < headerLen, "%s", wholeness(len(frame) >= headerLen, header, len(frame))) {
		return
	}
	dst, src := MAC(frame[0:6]), MAC(frame[6:12])
	kind := ethernet.EtherType(binary.BigEndian.Uint16(frame[12:]))
	tagged := isTag(frame[12:]) || kind == etherTypeOldQinQ
	if t.try(UnexpectedVLAN, tagged, "%s", choose(tagged, "a VLAN tag", "no VLAN tag")) ||
		t.try(InvalidSenderMAC, !src.IsUnicast(), "the source %s is %s", src, station(src)) ||
		t.try(SpoofedSource, src == t.in.HostMAC, "%s", t.hostMAC(src)) {
		return
	}
	switch kind {
	case etherTypeRARP:
		t.registered(src, RARPAnnouncement, "RARP", "")
	case ethernet.EtherTypeIPv6:
		t.ipv6(src)
	case ethernet.EtherTypeIPv4:
		t.ipv4(dst, src, frame[headerLen:])
	default:
		t.try(UnsupportedEtherType, true, "%s, which is none of IPv4, IPv6 and RARP", etherTypeOf(frame))
	}
}

func (t *tracer) ipv6(src MAC) {
	passes := t.responder.policy.PassIPv6
	setting := "ipv6: " + choose(passes, "pass", "drop")
	if passes {
		t.registered(src, IPv6, "IPv6", setting)
		return
	}
	t.tryBinding(IPv6, true, nil, setting, "IPv6")
}

// registered tries the rows of admitRegistered for a frame of some kind.
func (t *tracer) registered(src MAC, reason Reason, kind, setting string) {
	b, mayUse := t.userOf(src)
	whose := fmt.Sprintf("%s has no binding", src)
	switch {
	case mayUse:
		whose = fmt.Sprintf("%s has a binding, of %s", src, b.addresses())
	case b != nil:
		whose = fmt.Sprintf("%s has a binding, of %s, behind port %s only, not %s", src, b.addresses(), b.Port, t.in.Port)
	}
	_ = t.tryBinding(UnregisteredMAC, !mayUse, b, setting, whose) ||
		t.tryBinding(reason, true, b, setting, kind+" from a registered MAC")
}

// ipv4 tries the rows of admitIPv4.
func (t *tracer) ipv4(dst, src MAC, body []byte) {
	var p ipPacket
	whole := p.parse(body)
	if t.try(Malformed, !whole, "%s", wholeness(whole, "IPv4 header", len(body))) {
		return
	}
	if dst == broadcast && p.isFromDHCPClient() {
		t.registered(src, DHCPClient, "DHCP", "")
		return
	}
	b := t.binding(p.src)
	if t.tryBinding(UnregisteredSource, b == nil, b, "", boundTo(p.src, b)) ||
		t.tryBinding(SpoofedSource, !t.owns(b, src), b, "", t.ownership(b, src)) {
		return
	}
	t.destination(dst)
}

func (t *tracer) destination(dst MAC) {
	group := dst[0]&1 != 0
	isHost := dst == t.in.HostMAC && dst != MAC{}
	b, _ := t.userOf(dst)
	whose := fmt.Sprintf("nobody has %s", dst)
	switch {
	case isHost:
		whose = fmt.Sprintf("%s is the host's", dst)
	case b != nil:
		whose = fmt.Sprintf("%s has a binding, of %s", dst, b.addresses())
	}
	_ = t.try(GroupDestination, group, "the destination %s is %s", dst, choose(group, "a group's", "not a group's")) ||
		t.tryBinding(UnknownDestination, b == nil && !isHost, b, "", whose) ||
		t.tryBinding(Admitted, true, b, "", whose)
}

// binding returns the binding that answers for ip, or nil.
func (t *tracer) binding(ip ipv4) *Binding {
	if b, ok := t.responder.registry.Lookup(ip.addr()); ok {
		return &b
	}
	return nil
}

// owns reports whether b is of mac, and may be used behind the port.
func (t *tracer) owns(b *Binding, mac MAC) bool {
	return b.MAC == mac && (b.Port == "" || b.Port == t.in.Port)
}

// userOf returns a binding of mac, one that may be used behind the port if there is any, and whether there is;
// nil if mac has none. Of a binding that others hide, as all its addresses are theirs, nothing can be used.
func (t *tracer) userOf(mac MAC) (found *Binding, mayUse bool) {
	for b := range t.responder.registry.Owners() {
		if t.owns(&b, mac) {
			return t.binding(toIPv4(b.First)), true
		}
		if b.MAC == mac && found == nil {
			found = t.binding(toIPv4(b.First))
		}
	}
	return found, false
}

// ownership compares a sender, and where a binding names a port that of the sender, with the binding of its address.
func (t *tracer) ownership(b *Binding, mac MAC) string {
	if b.Port == "" {
		return fmt.Sprintf("bound to %s, sent by %s", b.MAC, mac)
	}
	return fmt.Sprintf("bound to %s behind port %s, sent by %s behind port %s", b.MAC, b.Port, mac, t.in.Port)
}

func (t *tracer) tags(n int) string {
	switch {
	case n == 0:
		return "no VLAN tag"
	case n > 1:
		return fmt.Sprintf("%d VLAN tags", n)
	}
	return choose(t.in.Trunk, "one VLAN tag, on a trunk", "a VLAN tag")
}

func (t *tracer) askedOrReplied(p *packet) string {
	if p.operation == arp.OperationReply && t.in.Uplink {
		return "the operation is reply, on an uplink"
	}
	return "the operation is " + operationName(p.operation)
}

func (t *tracer) hostMAC(src MAC) string {
	switch t.in.HostMAC {
	case MAC{}:
		return "the host's own MAC is not known here"
	case src:
		return fmt.Sprintf("the source %s is the host's own MAC", src)
	}
	return fmt.Sprintf("the source is %s, the host's own MAC %s", src, t.in.HostMAC)
}

// addresses writes the addresses of a binding: "10.239.0.101", or "10.239.0.128-10.239.0.191".
func (b *Binding) addresses() string {
	if b.First == b.Last {
		return b.First.String()
	}
	return fmt.Sprintf("%s-%s", b.First, b.Last)
}

// boundTo says to whom ip is bound by b, or that there is no binding.
func boundTo(ip ipv4, b *Binding) string {
	switch {
	case b == nil:
		return fmt.Sprintf("%s has no binding", ip)
	case b.First != b.Last:
		return fmt.Sprintf("%s is bound to %s, in %s", ip, b.MAC, b.addresses())
	}
	return fmt.Sprintf("%s is bound to %s", ip, b.MAC)
}

// etherTypeOf writes the EtherType behind a frame's tags.
func etherTypeOf(frame []byte) string {
	_, at, ok := skipTags(frame)
	if !ok {
		return "no EtherType: the frame ends before it"
	}
	kind := binary.BigEndian.Uint16(frame[at:])
	if kind < firstEtherType {
		return "no EtherType: a frame with LLC"
	}
	return fmt.Sprintf("the EtherType is 0x%04x", kind)
}

func wholeness(whole bool, what string, length int) string {
	if whole {
		return "a whole " + what
	}
	return fmt.Sprintf("no whole %s, in %d bytes", what, length)
}

func operationName(operation arp.Operation) string {
	switch operation {
	case arp.OperationRequest:
		return "request"
	case arp.OperationReply:
		return "reply"
	}
	return fmt.Sprintf("%d", operation)
}

func station(mac MAC) string {
	return choose(mac.IsUnicast(), "one host's", "zero or a group's")
}

func choose(condition bool, yes, no string) string {
	if condition {
		return yes
	}
	return no
}
