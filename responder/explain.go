package responder

import (
	"fmt"
	"iter"
	"slices"

	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

// Explanation is the verdict about one frame, with the rows of the tables that were evaluated for it.
type Explanation struct {
	Verdict Verdict
	Rows    []Row // from top to bottom; the last is the one that decided, and its reason is the verdict's
}

// Row is a row of a decision table, compared with a frame.
type Row struct {
	Reason   Reason
	Fits     bool
	Compared string            // the values that were compared: "10.239.0.102 is bound to 02:00:07:de:54:a8"
	Binding  *registry.Binding // the binding that the frame was compared with; nil if there is none
	Setting  string            // the key of the policy that the row depends on: "sender: strict"; empty if there is none
}

// Explain decides about a frame with [Responder.Decide], which writes the answer into out, and describes the rows up to
// the one that decided. It allocates and may go through the whole registry.
func (r *Responder) Explain(in Ingress, frame, out []byte) Explanation {
	e := explainer{responder: r, in: in, verdict: r.Decide(in, frame, out)}
	e.explain(frame)
	return Explanation{Verdict: e.verdict, Rows: e.rows}
}

// An explainer describes the rows of a decision that Decide has made, in the order of the tables, up to the row with the
// verdict's reason. It decides nothing itself, so it cannot disagree with Decide.
type explainer struct {
	responder *Responder
	in        Ingress
	verdict   Verdict
	rows      []Row
}

// row describes a row. It reports whether the row decided.
func (e *explainer) row(reason Reason, format string, args ...any) bool {
	return e.rowWith(reason, nil, "", fmt.Sprintf(format, args...))
}

// rowWith describes a row that depends on a binding, unless b is nil, and on a setting, unless that is empty.
func (e *explainer) rowWith(reason Reason, b *registry.Binding, setting, compared string) bool {
	fits := reason == e.verdict.Reason
	e.rows = append(e.rows, Row{reason, fits, compared, b, setting})
	return fits
}

// rowNotMatched describes a row that did not match, even if a later row with the same reason did.
func (e *explainer) rowNotMatched(reason Reason, format string, args ...any) bool {
	e.rows = append(e.rows, Row{Reason: reason, Compared: fmt.Sprintf(format, args...)})
	return false
}

func (e *explainer) explain(frame []byte) {
	h, ok := ParseHeader(frame)
	if !ok {
		_ = e.row(NotARP, "no EtherType: the frame ends before it") || e.row(Malformed, "%s", completeness(false, arpPacket, len(frame)))
		return
	}
	body := frame[h.Len:]
	switch {
	case h.carriesARP(body):
		e.arp(&h, frame)
	case e.in.AllowList && e.in.Kind != GuestPort:
		e.outside(&h, body)
	case e.in.AllowList:
		e.rows = append(e.rows, Row{Reason: NotARP, Fits: true, Compared: etherTypeOf(&h) + ", so the allow-list decides"})
		e.ip(&h, body, len(frame))
	default:
		e.row(NotARP, "%s", etherTypeOf(&h))
	}
}

const arpPacket = "ARP packet for IPv4 over Ethernet II"

// arp describes the rows of decideARP.
func (e *explainer) arp(h *Header, frame []byte) {
	var p packet
	complete := p.parse(h, frame[h.Len:])
	if e.row(NotARP, "%s", etherTypeOf(h)) || e.row(Malformed, "%s", completeness(complete, arpPacket, len(frame))) {
		return
	}
	_ = e.form(&p, h) || e.sender(&p) || e.row(GuestReply, "%s", e.direction(&p)) || e.target(&p)
}

// form describes the rows of checkForm.
func (e *explainer) form(p *packet, h *Header) bool {
	canSend := p.senderIP.CanBeSource()
	return e.row(UnexpectedVLAN, "%s", e.tags(h.Tags)) ||
		e.row(UnsupportedOperation, "the operation is %s", operationName(p.operation)) ||
		e.row(RateLimited, "the port is %s its rate limit", choose(e.in.RateLimited, "over", "within")) ||
		e.row(InvalidSenderMAC, "the sender's MAC %s is %s", p.senderMAC, castOf(p.senderMAC)) ||
		e.row(SenderMACMismatch, "the Ethernet source is %s, the sender's MAC %s", h.Source, p.senderMAC) ||
		e.row(InvalidSenderIP, "%s %s be a source address", p.senderIP, choose(canSend, "can", "cannot"))
}

// sender describes the rows of checkSender.
func (e *explainer) sender(p *packet) bool {
	unchecked := ""
	setting := "sender: " + choose(e.responder.policy.AnySender, "any", "strict")
	switch {
	case e.in.Kind == Uplink:
		unchecked, setting = "the port is an uplink: its senders are not checked", ""
	case e.in.isHost(p.senderMAC):
		unchecked, setting = "the sender is the host itself, which asks from any address that it has", ""
	case e.responder.policy.AnySender:
		unchecked = "senders are not checked"
	case p.isProbe():
		unchecked, setting = "a probe has no sender address", ""
	}
	if unchecked != "" {
		return e.rowWith(UnregisteredSender, nil, setting, unchecked) || e.rowWith(SpoofedSender, nil, setting, unchecked)
	}
	b := e.binding(p.senderIP)
	return e.rowWith(UnregisteredSender, b, setting, boundTo(p.senderIP, b)) ||
		e.holder(b, p.senderMAC, setting) ||
		e.rowWith(SpoofedSender, b, setting, e.compareSender(b, p.senderMAC))
}

// holder describes the row about the holder of an address that moves between MACs.
func (e *explainer) holder(b *registry.Binding, mac registry.MAC, setting string) bool {
	if b == nil || b.Candidates.IsEmpty() {
		return false
	}
	return e.rowWith(NotHolder, b, setting, fmt.Sprintf("held by %s, sent by %s, may move between %s", b.MAC, mac, b.Candidates))
}

// target describes the rows of decideRequest.
func (e *explainer) target(p *packet) bool {
	isHosts := slices.Contains(e.responder.host, p.targetIP)
	b := e.binding(p.targetIP)
	bound, setting := e.targetBound(p, b)
	return e.row(Announcement, "%s asks for %s%s", p.senderIP, p.targetIP, e.becomesHolder()) ||
		e.row(HostAddress, "%s %s the host's own", p.targetIP, choose(isHosts, "is", "is not")) ||
		e.rowWith(UnknownTarget, b, setting, bound) ||
		e.rowWith(UnallocatedProbe, b, setting, bound) ||
		e.owner(p, b)
}

// targetBound describes the target's binding, and returns the setting that the rows about it depend on.
func (e *explainer) targetBound(p *packet, b *registry.Binding) (bound, setting string) {
	bound = boundTo(p.targetIP, b)
	switch only := e.in.Owner; {
	case only != (registry.MAC{}) && (b == nil || b.MAC != only):
		return fmt.Sprintf("%s, and on this port only the addresses of %s are answered", bound, only), ""
	case e.verdict == (Verdict{Action: Pass, Reason: UnknownTarget}):
		return bound, "unknown_target: uplink"
	case b != nil || !p.isProbe():
		return bound, ""
	case e.in.Kind == Uplink:
		return bound + ", and hosts behind an uplink may have unregistered addresses", ""
	}
	return bound, "unallocated_probe: " + choose(e.responder.policy.DenyMAC != registry.MAC{}, "deny", "drop")
}

// owner describes the rows for a target with a binding.
func (e *explainer) owner(p *packet, b *registry.Binding) bool {
	requester := choose(p.isProbe(), "a probe", fmt.Sprintf("not a probe: the sender is %s", p.senderIP))
	compared := fmt.Sprintf("%s by %s, for an address of %s", requester, p.senderMAC, b.MAC)
	setting := "self_probe: " + choose(e.responder.policy.IgnoreSelfProbe, "drop", "answer")
	if !p.isProbe() {
		compared, setting = requester, ""
	}
	return e.rowWith(SelfProbe, b, setting, compared) ||
		e.rowWith(ConflictProbe, b, "", compared) ||
		e.rowWith(Answered, b, "", boundTo(p.targetIP, b))
}

// ip describes the rows of decideIP.
func (e *explainer) ip(h *Header, body []byte, length int) {
	tagged := h.IsTagged() || h.EtherType == etherTypeOldQinQ
	if e.rowNotMatched(Malformed, "%s", completeness(true, "Ethernet header", length)) ||
		e.row(UnexpectedVLAN, "%s", choose(tagged, "a VLAN tag", "no VLAN tag")) ||
		e.row(InvalidSenderMAC, "the source %s is %s", h.Source, castOf(h.Source)) || e.hostMAC(h.Source) {
		return
	}
	switch h.EtherType {
	case etherTypeRARP:
		e.registered(h.Source, RARPAnnouncement, "RARP", "")
	case ethernet.EtherTypeIPv6:
		e.ipv6(h.Source)
	case ethernet.EtherTypeIPv4:
		e.ipv4(h, body)
	default:
		e.row(UnsupportedEtherType, "%s: not IPv4, IPv6 or RARP", etherTypeOf(h))
	}
}

// outside describes the rows of decideOutside. Those that did not match say little about the frame, and are left out.
func (e *explainer) outside(h *Header, body []byte) {
	var p ipPacket
	switch e.verdict.Reason {
	case RARPAnnouncement:
		e.row(RARPAnnouncement, "RARP from an uplink: guests do not receive it")
	case DHCPClient:
		e.row(DHCPClient, "a broadcast DHCP request: guests do not receive it")
	case Malformed:
		e.row(Malformed, "IPv4 by its EtherType, but no whole IPv4 packet")
	case SpoofedSource:
		p.parse(body)
		e.row(SpoofedSource, "the host's MAC is %s; %s is not to send from %s, or not to %s", e.in.HostMAC, h.Source, p.src, h.Destination)
	case ForeignDestination:
		p.parse(body)
		e.foreignDestination(h.Destination, &p)
	default:
		e.row(NotARP, "%s", etherTypeOf(h))
	}
}

// hostMAC describes the row about the host's own MAC. A later row has the same reason.
func (e *explainer) hostMAC(src registry.MAC) bool {
	switch e.in.HostMAC {
	case registry.MAC{}:
		return e.rowNotMatched(SpoofedSource, "the host's own MAC is unknown")
	case src:
		return e.row(SpoofedSource, "the source %s is the host's own MAC", src)
	}
	return e.rowNotMatched(SpoofedSource, "the source is %s, the host's own MAC %s", src, e.in.HostMAC)
}

func (e *explainer) ipv6(src registry.MAC) {
	passes := e.responder.policy.PassIPv6
	setting := "ipv6: " + choose(passes, "pass", "drop")
	if passes {
		e.registered(src, IPv6, "IPv6", setting)
		return
	}
	e.rowWith(IPv6, nil, setting, "IPv6")
}

// registered describes the rows of passRegistered. kind names the frame's protocol.
func (e *explainer) registered(src registry.MAC, reason Reason, kind, setting string) {
	b, _ := e.bindingOf(src)
	_ = e.registeredMAC(src, setting) || e.rowWith(reason, b, setting, kind+" from a registered MAC")
}

// registeredMAC describes the row about a source MAC that has no binding for the port.
func (e *explainer) registeredMAC(src registry.MAC, setting string) bool {
	b, maySend := e.bindingOf(src)
	compared := fmt.Sprintf("%s has no binding", src)
	switch {
	case maySend:
		compared = hasBinding(src, b)
	case b != nil:
		compared = fmt.Sprintf("%s, but only on port %s, not %s", hasBinding(src, b), b.Port, e.in.Port)
	}
	return e.rowWith(UnregisteredMAC, b, setting, compared)
}

// ipv4 describes the rows of decideIPv4.
func (e *explainer) ipv4(h *Header, body []byte) {
	var p ipPacket
	complete := p.parse(body)
	if complete && !p.isWhole(h.Len) {
		e.row(Malformed, "the IPv4 header says %d bytes; there are %d", p.headerLen+p.length, len(body))
		return
	}
	if e.row(Malformed, "%s", completeness(complete, "IPv4 header", len(body))) {
		return
	}
	isDHCP := h.Destination == broadcast && p.isFromDHCPClient()
	if isDHCP && p.src == 0 {
		e.dhcpClient(h, &p)
		return
	}
	b, unregistered, spoofed := e.source(&p, h.Source)
	_ = e.rowWith(UnregisteredSource, b, "", unregistered) ||
		e.holder(b, h.Source, "") ||
		e.rowWith(SpoofedSource, b, "", spoofed) ||
		isDHCP && (e.dhcp(h, &p) || e.rowWith(DHCPClient, b, "", "DHCP from the address that is rebound")) ||
		e.destination(h, &p)
}

// source returns the binding that decides about the source of IPv4, and describes the rows of checkSource.
func (e *explainer) source(p *ipPacket, mac registry.MAC) (b *registry.Binding, unregistered, spoofed string) {
	b = e.binding(p.src)
	unregistered = boundTo(p.src, b)
	if b != nil {
		spoofed = e.compareSender(b, mac)
		if b.MAC == mac && e.isAdmitted(b) {
			return b, unregistered, spoofed
		}
	}
	if e.responder.registry.MayForward(mac, p.src, e.in.Port) {
		router := e.router(mac, p.src, e.isAdmitted)
		return router, routedBy(p.src, b, router), routedBy(p.src, b, router)
	}
	return b, unregistered, spoofed
}

// router returns a binding of mac that has a route for ip, and for which match returns true. There must be one.
func (e *explainer) router(mac registry.MAC, ip registry.IPv4, match func(*registry.Binding) bool) *registry.Binding {
	for b := range e.responder.registry.All() {
		if b.MAC == mac && b.Routes.Contains(ip.Addr()) && match(&b) {
			return &b
		}
	}
	panic("responder: no binding has a route of the registry")
}

// routedBy describes b, the binding of ip, and the routes of a router that contain ip.
func routedBy(ip registry.IPv4, b, router *registry.Binding) string {
	return fmt.Sprintf("%s, and %s is a router with routes for %s", boundTo(ip, b), router.MAC, router.Routes)
}

// isAdmitted reports whether the owner of a binding may send from the port.
func (e *explainer) isAdmitted(b *registry.Binding) bool { return b.Port == "" || b.Port == e.in.Port }

// dhcpClient describes the rows of decideDHCPClient.
func (e *explainer) dhcpClient(h *Header, p *ipPacket) {
	b, _ := e.bindingOf(h.Source)
	setting, kind := "", "DHCP from a registered MAC"
	if b == nil {
		setting, kind = "dhcp: "+choose(e.responder.policy.OpenDHCP, "open", "registered"), "DHCP from a MAC without a binding"
	}
	_ = e.registeredMAC(h.Source, setting) || e.dhcp(h, p) || e.rowWith(DHCPClient, b, setting, kind)
}

// dhcp describes the row about a message of DHCP. There is none for other packets.
func (e *explainer) dhcp(h *Header, p *ipPacket) bool {
	switch {
	case p.isUDPTo(dhcpClientPort):
		return e.row(InvalidDHCP, "for a DHCP client, and no guest is a server")
	case p.isUDPTo(dhcpServerPort):
		return e.row(InvalidDHCP, "%s, sent by %s", p.describeRequest(), h.Source)
	}
	return false
}

func (e *explainer) destination(h *Header, p *ipPacket) bool {
	dst := h.Destination
	isGroup := dst[0]&1 != 0
	setting := ""
	if e.verdict == (Verdict{Action: Pass, Reason: UnknownDestination}) {
		setting = "unknown_target: uplink"
	}
	b, _ := e.bindingOf(dst)
	compared := fmt.Sprintf("%s has no binding", dst)
	switch {
	case dst == e.in.HostMAC && dst != registry.MAC{}:
		compared = fmt.Sprintf("%s is the host's own MAC", dst)
	case b != nil:
		compared = hasBinding(dst, b)
	}
	return e.row(GroupDestination, "the destination %s is %s", dst, choose(isGroup, "broadcast or multicast", "unicast")) ||
		e.rowWith(UnknownDestination, b, setting, compared) ||
		e.foreignDestination(dst, p) ||
		e.dhcp(h, p) ||
		e.rowWith(Admitted, b, "", compared)
}

// VXLANToHost is what the row of ForeignDestination compares in a guest's VXLAN to the host.
const VXLANToHost = "VXLAN to the host, and only hosts may send into the tunnel of an overlay"

// foreignDestination describes the row about the destination address.
func (e *explainer) foreignDestination(dst registry.MAC, p *ipPacket) bool {
	addr := p.dst
	if !e.responder.forwardsAll(dst, &e.in) {
		b := e.binding(addr)
		if (b == nil || b.MAC != dst) && e.responder.registry.MayReceive(dst, addr) {
			router := e.router(dst, addr, func(*registry.Binding) bool { return true })
			return e.rowWith(ForeignDestination, router, "", routedBy(addr, b, router))
		}
		return e.rowWith(ForeignDestination, b, "", fmt.Sprintf("%s, sent to %s", boundTo(addr, b), dst))
	}
	receiver := choose(dst == e.in.HostMAC, "the host", "the gateway")
	if e.responder.isForTunnel(dst, p, &e.in) {
		return e.row(ForeignDestination, VXLANToHost)
	}
	if addr.CanBeSource() {
		return e.row(ForeignDestination, "%s receives for any address", receiver)
	}
	return e.row(ForeignDestination, "%s is no address that a host can have", addr)
}

// binding returns the binding that answers for ip, or nil.
func (e *explainer) binding(ip registry.IPv4) *registry.Binding {
	if b, ok := e.responder.registry.Lookup(ip.Addr()); ok {
		return &b
	}
	return nil
}

// bindingOf returns a binding of mac, or nil if mac has none, and whether mac may send from the port. It prefers a
// binding that decides that: one that names the port, or else another one.
func (e *explainer) bindingOf(mac registry.MAC) (found *registry.Binding, maySend bool) {
	for b := range e.bindingsOf(mac) {
		if found == nil || found.Port == "" && b.Port != "" || b.Port == e.in.Port && b.Port != "" {
			found = &b
		}
		if found.Port != "" && found.Port == e.in.Port {
			break
		}
	}
	return found, e.responder.registry.MaySend(mac, e.in.Port)
}

// bindingsOf yields the bindings that register mac. One all of whose addresses belong to narrower ones does not, unless it
// has routes or candidates.
func (e *explainer) bindingsOf(mac registry.MAC) iter.Seq[registry.Binding] {
	return func(yield func(registry.Binding) bool) {
		for b := range e.responder.registry.Owners() {
			if b.MAC == mac && !yield(*e.binding(registry.IPv4Of(b.First))) {
				return
			}
		}
		for b := range e.responder.registry.All() {
			isListed := b.MAC == mac && (b.IsAlone() || !b.Routes.IsEmpty()) || b.Candidates.Contains(mac)
			if isListed && !yield(b) {
				return
			}
		}
	}
}

func hasBinding(mac registry.MAC, b *registry.Binding) string {
	if b.IsAlone() {
		return fmt.Sprintf("%s has a binding without an address", mac)
	}
	return fmt.Sprintf("%s has a binding for %s", mac, b.Addresses())
}

// compareSender compares the sender's MAC, and its port if the binding names one, with the binding of its address.
func (e *explainer) compareSender(b *registry.Binding, mac registry.MAC) string {
	if b.Port == "" {
		return fmt.Sprintf("bound to %s, sent by %s", b.MAC, mac)
	}
	return fmt.Sprintf("bound to %s on port %s, sent by %s on port %s", b.MAC, b.Port, mac, e.in.Port)
}

func (e *explainer) tags(n int) string {
	switch {
	case n == 0:
		return "no VLAN tag"
	case n > 1:
		return fmt.Sprintf("%d VLAN tags", n)
	}
	return choose(e.in.Trunk, "one VLAN tag, on a trunk", "a VLAN tag")
}

func (e *explainer) direction(p *packet) string {
	if p.operation == arp.OperationReply && e.in.Kind == Uplink {
		return "the operation is reply, on an uplink" + e.becomesHolder()
	}
	return "the operation is " + operationName(p.operation) + e.becomesHolder()
}

func (e *explainer) becomesHolder() string {
	return choose(e.verdict.AnnouncesHolder, ", which announces that the sender now holds the address", "")
}

// boundTo describes b, the binding of ip, or says that there is none.
func boundTo(ip registry.IPv4, b *registry.Binding) string {
	switch {
	case b == nil:
		return fmt.Sprintf("%s has no binding", ip)
	case b.First != b.Last:
		return fmt.Sprintf("%s is bound to %s, in %s", ip, b.MAC, b.Addresses())
	}
	return fmt.Sprintf("%s is bound to %s", ip, b.MAC)
}

// etherTypeOf describes the EtherType after a frame's VLAN tags.
func etherTypeOf(h *Header) string {
	if h.EtherType < firstEtherType {
		return "no EtherType: an 802.3 frame with LLC"
	}
	return fmt.Sprintf("the EtherType is 0x%04x", uint16(h.EtherType))
}

func completeness(complete bool, what string, length int) string {
	if complete {
		return "a complete " + what
	}
	return fmt.Sprintf("no complete %s in %d bytes", what, length)
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

func castOf(mac registry.MAC) string {
	return choose(mac.IsUnicast(), "unicast", "zero, broadcast or multicast")
}

func choose(condition bool, yes, no string) string {
	if condition {
		return yes
	}
	return no
}
