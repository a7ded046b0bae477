package explain

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/store"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// change returns remedies for a drop, the most likely first. It returns an empty list for other verdicts.
func (d *decision) change() []string {
	if d.Verdict.Action != responder.Drop {
		return []string{}
	}
	return changes[d.row().Reason](d)
}

// changes has the remedies for each reason to drop a frame.
var changes = map[responder.Reason]func(*decision) []string{
	responder.Malformed: fixed("find out what sends it: the frame is invalid, or not for " +
		"IPv4 over Ethernet II"),
	responder.UnexpectedVLAN:       (*decision).changeVLAN,
	responder.UnsupportedOperation: fixed("no change is needed: only requests are answered"),
	responder.RateLimited:          (*decision).changeRateLimit,
	responder.InvalidSenderMAC: fixed("give the guest a unicast MAC: not zero, and the lowest bit of " +
		"its first byte 0"),
	responder.SenderMACMismatch: fixed("make the guest use the same MAC in ARP and as the Ethernet source; a bond or a " +
		"bridge in a guest may not do so"),
	responder.InvalidSenderIP:    fixed("give the guest an address that a host can have"),
	responder.UnregisteredSender: (*decision).changeUnregisteredSender,
	responder.SpoofedSender:      (*decision).changeSpoofedSender,
	responder.NotHolder:          (*decision).changeNotHolder,
	responder.GuestReply: fixed("no change is needed: requests for the guest's address are answered from the " +
		"registry"),
	responder.Announcement: fixed("no change is needed: other guests get the address's MAC from the registry, and an " +
		"announcement when it changes"),
	responder.UnknownTarget:        (*decision).changeUnknownTarget,
	responder.SelfProbe:            (*decision).changeSelfProbe,
	responder.UnregisteredMAC:      (*decision).changeUnregisteredMAC,
	responder.IPv6:                 (*decision).changeIPv6,
	responder.UnsupportedEtherType: (*decision).changeEtherType,
	responder.UnregisteredSource:   (*decision).changeUnregisteredSource,
	responder.SpoofedSource:        (*decision).changeSpoofedSource,
	responder.GroupDestination:     (*decision).changeGroupDestination,
	responder.UnknownDestination:   (*decision).changeUnknownDestination,
	responder.ForeignDestination:   (*decision).changeForeignDestination,
	responder.InvalidDHCP:          (*decision).changeInvalidDHCP,
}

func fixed(advice string) func(*decision) []string {
	return func(*decision) []string { return []string{advice} }
}

// write returns the advice to write a setting of the policy, with its place.
func (d *decision) write(setting string) string {
	line := d.setting(setting)
	if line.Origin != "" {
		return fmt.Sprintf("write `%s` in %s", setting, line.Origin)
	}
	return fmt.Sprintf("write `%s` under networks.%s.policy", setting, d.Network.Name)
}

// onlyARP returns the advice to drop only ARP.
func (d *decision) onlyARP() string {
	return d.write("guard: arp") + ", and all frames except ARP pass"
}

// bind returns the advice to write a binding, with its place.
func (d *decision) bind(addr netip.Addr, mac string) string {
	return fmt.Sprintf("write `%s: %q` under networks.%s.registry", addr, mac, d.Network.Name)
}

func (d *decision) changeVLAN() []string {
	untagged := "let the guest send its frames untagged"
	if d.Network.Attach.SeesPorts() && d.Kind == responder.GuestPort {
		untagged += fmt.Sprintf(", and give its port the VLAN instead: bridge vlan add dev %s vid VLAN pvid untagged",
			d.Port)
	}
	return []string{untagged}
}

func (d *decision) changeRateLimit() []string {
	return []string{
		"find out what sends so much ARP",
		d.write("rate_limit: off") + ", or a higher number of frames a second",
	}
}

func (d *decision) changeUnregisteredSender() []string {
	return []string{
		d.bind(d.sender.Sender, d.sender.MAC.String()) + ", if the guest may have the address",
		d.write("sender: any") + ", if all senders may get answers",
	}
}

func (d *decision) changeSpoofedSender() []string {
	return append(d.changeOwner(), d.write("sender: any")+", if all senders may get answers")
}

func (d *decision) changeNotHolder() []string {
	return []string{fmt.Sprintf("make the guest announce %s by gratuitous ARP when it takes the address over, as keepalived "+
		"and MetalLB do: %s holds it now", d.sender.Sender, d.row().Binding.MAC)}
}

// changeOwner returns the advice that makes the sender the owner of its address.
func (d *decision) changeOwner() []string {
	b := d.row().Binding
	var advice []string
	if b.MAC != d.sender.MAC {
		advice = append(advice,
			fmt.Sprintf("give the sender its own address: %s is bound to another MAC", d.sender.Sender),
			d.giveMAC(b))
	}
	if b.Port != "" && b.Port != d.Port {
		advice = append(advice, d.move(b))
	}
	return advice
}

// isAllocation reports whether a binding was allocated: there is no file to write in.
func isAllocation(b *registry.Binding) bool { return b.Origin.Source == store.Source }

// put returns the advice to change an allocation with the HTTP API.
func (d *decision) put(b *registry.Binding) string {
	return fmt.Sprintf("PUT to /v1/networks/%s/bindings/%s", d.Network.Name, b.First)
}

// giveMAC returns the advice to make the sender the owner of a binding. An allocation that is freed is held for its owner,
// so that a PUT has to change it.
func (d *decision) giveMAC(b *registry.Binding) string {
	if isAllocation(b) {
		return fmt.Sprintf("change the MAC of the allocation to %s with a %s, if the address belongs to the sender", d.sender.MAC, d.put(b))
	}
	if d.isOfSource(b) {
		return fmt.Sprintf("let the sender get an address of its own as others do: %s gives this one to %s", b.Origin, b.MAC)
	}
	return fmt.Sprintf("write the MAC %s in %s, if the address belongs to the sender", d.sender.MAC, b.Origin)
}

// isOfSource reports whether a binding is of a source, such as a DHCP server's lease: nobody is to write in its file.
func (d *decision) isOfSource(b *registry.Binding) bool {
	return slices.ContainsFunc(d.Network.Sources, func(s config.Source) bool { return s.IsOrigin(b.Origin.Source) })
}

// moveAllocation returns the advice to allocate an address again with another port, or with none for "".
func (d *decision) moveAllocation(b *registry.Binding, port string) string {
	flags := fmt.Sprintf("--network %s --address %s --mac %s", d.Network.Name, b.First, b.MAC)
	if b.Name != "" {
		flags += " --name " + b.Name
	}
	if port != "" {
		flags += " --port " + port
	}
	return fmt.Sprintf("allocate the address again: arpfabric free --network %s %s && arpfabric allocate %s; or change it with a %s",
		d.Network.Name, b.First, flags, d.put(b))
}

// move returns the advice to give a binding's owner another port.
func (d *decision) move(b *registry.Binding) string {
	switch {
	case b.Port == proxmoxPort(d.Port):
		return fmt.Sprintf("explain with --port %s: with Proxmox's firewall, the frames of %s enter the bridge by it", b.Port, d.Port)
	case d.Kind == responder.Host && isAllocation(b):
		return d.moveAllocation(b, "") + fmt.Sprintf("; only if the address belongs to the host: %s is no port of a guest", d.Port)
	case isAllocation(b):
		return d.moveAllocation(b, d.Port) + "; only if the guest has moved there"
	case d.Kind == responder.Host:
		return fmt.Sprintf("write no port in %s, if the address belongs to the host: %s is no port of a guest", b.Origin, d.Port)
	}
	return fmt.Sprintf("write the port %s in %s, or no port, if the guest has moved there", d.Port, b.Origin)
}

func (d *decision) changeUnknownTarget() []string {
	if d.row().Binding != nil {
		return []string{"no change is needed: the address's owner is on the same segment, and answers for itself"}
	}
	advice := []string{d.bind(d.sender.Target, "MAC") + ", with the MAC of the host that has the address"}
	advice = append(advice, d.toUplinks()...)
	if d.row().Setting != "" {
		advice = append(advice, d.write("unallocated_probe: deny")+", if the prober should give the address up")
	}
	return advice
}

// toUplinks returns the advice to let guests reach hosts that the registry does not list, if the network has uplinks and
// the sender is a guest.
func (d *decision) toUplinks() []string {
	if len(d.Network.Attach.Uplinks) == 0 || d.Kind == responder.Uplink || d.Network.Policy.UnknownToUplinks {
		return nil
	}
	return []string{d.write("unknown_target: uplink") + ", if hosts behind an uplink are not in the registry"}
}

func (d *decision) changeSelfProbe() []string { return []string{d.write("self_probe: answer")} }

func (d *decision) changeIPv6() []string { return []string{d.write("ipv6: pass"), d.onlyARP()} }

func (d *decision) changeEtherType() []string { return []string{d.onlyARP()} }

func (d *decision) changeUnregisteredMAC() []string {
	if b := d.row().Binding; b != nil {
		return []string{d.move(b)}
	}
	advice := []string{fmt.Sprintf("write a binding for %s under networks.%s.registry, if the guest belongs to the network; "+
		"without an IPv4 address, write `\"%s\": {}`", d.sender.MAC, d.Network.Name, d.sender.MAC)}
	if isDHCP := d.sender.Sender.IsValid(); isDHCP && !d.Network.Policy.OpenDHCP {
		advice = append(advice, d.write("dhcp: open")+", and follow the leases of the DHCP server under sources, if all guests may ask it for addresses")
	}
	return advice
}

func (d *decision) changeUnregisteredSource() []string {
	bind := d.bind(d.sender.Sender, d.sender.MAC.String()) + ", if the guest may have the address"
	return slices.Concat([]string{bind}, d.addRoute(), []string{d.onlyARP()})
}

// addRoute returns the advice that makes the sender a router, if it has a binding and may be one.
func (d *decision) addRoute() []string {
	if !d.Network.Registry.IsRegistered(d.sender.MAC) || !registry.IPv4Of(d.sender.Sender).CanBeSource() {
		return nil
	}
	for b := range d.Network.Registry.All() {
		if b.MAC == d.sender.MAC && isAllocation(&b) {
			return []string{fmt.Sprintf("free %s and bind it under networks.%s.registry with `routes: [PREFIX]`, with a prefix that "+
				"contains %s, if the guest is a router", b.First, d.Network.Name, d.sender.Sender)}
		}
		if b.MAC == d.sender.MAC {
			return []string{fmt.Sprintf("write `routes: [PREFIX]` in %s, with a prefix that contains %s, if the guest is a router",
				b.Origin, d.sender.Sender)}
		}
	}
	return nil
}

func (d *decision) changeSpoofedSource() []string {
	switch {
	case d.Kind == responder.Host:
		return []string{d.bind(d.sender.Sender, d.sender.MAC.String()) + ", if an interface on top of the bridge has the address; " +
			"it reaches one guest at a time"}
	case d.row().Binding == nil:
		return []string{"give the guest another MAC: this one is the host's own"}
	}
	return append(d.changeOwner(), d.onlyARP())
}

func (d *decision) changeGroupDestination() []string {
	return []string{unicastOnly, d.onlyARP()}
}

const unicastOnly = "send to each guest by unicast: like a VPC, the network carries no broadcast or multicast"

func (d *decision) changeUnknownDestination() []string {
	bind := fmt.Sprintf("write a binding for the destination's MAC under networks.%s.registry, if it is a guest or a gateway", d.Network.Name)
	return slices.Concat([]string{bind}, d.toUplinks(), []string{d.onlyARP()})
}

func (d *decision) changeForeignDestination() []string {
	target := d.sender.Target
	if !registry.IPv4Of(target).CanBeSource() {
		return []string{unicastOnly, d.onlyARP()}
	}
	if d.row().Compared == responder.VXLANToHost {
		return []string{"send VXLAN to other guests, or use another UDP port than 4789", d.onlyARP()}
	}
	var advice []string
	if !d.Network.Gateway.IsValid() {
		advice = append(advice, fmt.Sprintf("write `gateway: ADDRESS` under networks.%s, with the destination's address, "+
			"if it is the guests' gateway", d.Network.Name))
	}
	return append(advice,
		fmt.Sprintf("write `routes: [PREFIX]` in the destination's binding, if it is a router to %s", target),
		d.bind(target, "MAC")+", with the destination's MAC, if the address is its own",
		d.onlyARP())
}

func (d *decision) changeInvalidDHCP() []string {
	return []string{
		"let each client ask for itself, from the MAC in its messages: guests are neither DHCP servers nor relays",
		d.onlyARP(),
	}
}
