package explain

import (
	"fmt"
	"net/netip"

	"github.com/arpfabric/arpfabric/responder"
)

// change says what could be done about a drop, the likeliest first. It is empty for what is no drop.
func (d *decision) change() []string {
	if d.trace.Verdict.Action != responder.Drop {
		return []string{}
	}
	return changes[d.row().Reason](d)
}

// changes has an entry for each reason to drop a frame.
var changes = map[responder.Reason]func(*decision) []string{
	responder.Malformed: fixed("find out what sends it: the frame is broken, or of another kind of network than " +
		"IPv4 over Ethernet II"),
	responder.UnexpectedVLAN:       (*decision).changeVLAN,
	responder.UnsupportedOperation: fixed("nothing is missing: only requests are answered"),
	responder.RateLimited:          (*decision).changeRateLimit,
	responder.InvalidSenderMAC: fixed("give the guest a MAC that one host can have: not zero, and the lowest bit of " +
		"its first byte 0"),
	responder.SenderMACMismatch: fixed("make the guest name the MAC in ARP that it sends from; a bond or a bridge in a " +
		"guest may not"),
	responder.InvalidSenderIP:    fixed("give the guest an address that a host can have"),
	responder.UnregisteredSender: (*decision).changeUnregisteredSender,
	responder.SpoofedSender:      (*decision).changeSpoofedSender,
	responder.GuestReply: fixed("nothing is missing: who asks for the guest's address is answered from the " +
		"registry"),
	responder.Announcement: fixed("nothing is missing: the others learn from the registry whose the address is, and " +
		"are told when that changes"),
	responder.UnknownTarget:        (*decision).changeUnknownTarget,
	responder.SelfProbe:            (*decision).changeSelfProbe,
	responder.UnregisteredMAC:      (*decision).changeUnregisteredMAC,
	responder.IPv6:                 (*decision).changeIPv6,
	responder.UnsupportedEtherType: (*decision).changeEtherType,
	responder.UnregisteredSource:   (*decision).changeUnregisteredSource,
	responder.SpoofedSource:        (*decision).changeSpoofedSource,
	responder.GroupDestination:     (*decision).changeGroupDestination,
	responder.UnknownDestination:   (*decision).changeUnknownDestination,
}

func fixed(advice string) func(*decision) []string {
	return func(*decision) []string { return []string{advice} }
}

// write says where to write a setting of the policy.
func (d *decision) write(setting string) string {
	line := d.setting(setting)
	if line.Origin != "" {
		return fmt.Sprintf("write `%s` in %s", setting, line.Origin)
	}
	return fmt.Sprintf("write `%s` under networks.%s.policy", setting, d.network.Name)
}

// onlyARP says how to lift what is about other frames than ARP.
func (d *decision) onlyARP() string {
	return d.write("guard: arp") + ", and everything but ARP passes"
}

// bind says where to write a binding.
func (d *decision) bind(addr netip.Addr, mac string) string {
	return fmt.Sprintf("write `%s: %q` under networks.%s.registry", addr, mac, d.network.Name)
}

func (d *decision) changeVLAN() []string {
	untagged := "let the guest send its frames untagged"
	if d.network.Attach.SeesPorts() {
		untagged += fmt.Sprintf(", and give its port the VLAN instead: bridge vlan add dev %s vid VLAN pvid untagged",
			d.in.Port)
	}
	return []string{untagged}
}

func (d *decision) changeRateLimit() []string {
	return []string{
		"find out what sends so much ARP",
		d.write("rate_limit: off") + ", or a number of frames a second that is higher",
	}
}

func (d *decision) changeUnregisteredSender() []string {
	return []string{
		d.bind(d.claim.Sender, d.claim.MAC.String()) + ", if the guest may have the address",
		d.write("sender: any") + ", if everybody is to be answered",
	}
}

func (d *decision) changeSpoofedSender() []string {
	return append(d.changeOwner(), d.write("sender: any")+", if everybody is to be answered")
}

// changeOwner says what makes the sender the owner of its address.
func (d *decision) changeOwner() []string {
	b := d.row().Binding
	var advice []string
	if b.MAC != d.claim.MAC {
		advice = append(advice,
			fmt.Sprintf("give the sender an address of its own: %s is bound to another's MAC", d.claim.Sender),
			fmt.Sprintf("write the MAC %s in %s, if the address is the sender's", d.claim.MAC, b.Origin))
	}
	if b.Port != "" && b.Port != d.in.Port {
		advice = append(advice, d.move(b))
	}
	return advice
}

// move says how to give a binding's owner another port.
func (d *decision) move(b *responder.Binding) string {
	return fmt.Sprintf("write the port %s in %s, or none, if the guest has moved there", d.in.Port, b.Origin)
}

func (d *decision) changeUnknownTarget() []string {
	if d.row().Binding != nil {
		return []string{"nothing is missing: the address's owner is on the same segment, and answers by itself"}
	}
	advice := []string{d.bind(d.claim.Target, "MAC") + ", with the MAC of the host that has the address"}
	if d.row().Setting != "" {
		advice = append(advice, d.write("unallocated_probe: deny")+", if who probes is to give the address up")
	}
	return advice
}

func (d *decision) changeSelfProbe() []string { return []string{d.write("self_probe: answer")} }

func (d *decision) changeIPv6() []string { return []string{d.write("ipv6: pass"), d.onlyARP()} }

func (d *decision) changeEtherType() []string { return []string{d.onlyARP()} }

func (d *decision) changeUnregisteredMAC() []string {
	if b := d.row().Binding; b != nil {
		return []string{d.move(b)}
	}
	return []string{fmt.Sprintf("write a binding of %s under networks.%s.registry, if the guest belongs to the network",
		d.claim.MAC, d.network.Name)}
}

func (d *decision) changeUnregisteredSource() []string {
	return []string{d.bind(d.claim.Sender, d.claim.MAC.String()) + ", if the guest may have the address", d.onlyARP()}
}

func (d *decision) changeSpoofedSource() []string {
	if d.row().Binding == nil {
		return []string{"give the guest another MAC: it has the host's own"}
	}
	return append(d.changeOwner(), d.onlyARP())
}

func (d *decision) changeGroupDestination() []string {
	return []string{
		"send to each guest by unicast: like a VPC, the network carries no broadcast or multicast",
		d.onlyARP(),
	}
}

func (d *decision) changeUnknownDestination() []string {
	return []string{
		fmt.Sprintf("write a binding of the destination's MAC under networks.%s.registry, if it is a guest or a gateway",
			d.network.Name),
		d.onlyARP(),
	}
}
