package explain

import (
	"fmt"
	"strings"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// notes returns facts beyond the verdict, and facts that matter but are not in a configuration.
func (d *decision) notes() []string {
	notes := []string{}
	add := func(applies bool, format string, args ...any) {
		if applies {
			notes = append(notes, fmt.Sprintf(format, args...))
		}
	}
	a, reason := d.Network.Attach, d.row().Reason
	isVPC, isUplink := d.Network.Mode == config.VPC, d.Kind == responder.Uplink
	replies, isARP := d.Verdict.Action == responder.Reply, d.isARP()
	noSource, noHost := d.Source == registry.MAC{}, d.HostMAC == registry.MAC{}

	add(!isVPC, "mode is classic: the frame is forwarded as on a plain bridge, and the fabric does not answer; vpc would do this")
	add(isVPC && isARP && a.InBridge() && d.Network.Guard == config.GuardNone,
		"guard is none: the frame is forwarded to the other members of %s, whatever the verdict", a.Bridge)
	add(replies && d.isAnsweredByNeighbor(), "no frame leaves %s: %s", d.Port, d.howAnswered())
	add(isARP && a.Kind == config.AttachInterface && len(d.Network.Policy.Host) == 0,
		"the kernel answers for the addresses of %s itself, which are unknown here", a.Device)
	add(replies && a.Kind == config.AttachInterface && noSource,
		"the answer leaves with the MAC of %s as its Ethernet source, which is unknown here", a.Device)
	add(replies && isUplink && noSource,
		"the answer leaves with the host's MAC as its Ethernet source, which is unknown here")
	add(d.CarriesHost && noHost && (reason == responder.UnregisteredSender || reason == responder.SpoofedSender),
		"the host's own requests on %s are answered, whichever of its addresses they come from; its MAC there is unknown here", a.Bridge)
	add(isUplink && !noHost && d.sender.MAC == d.HostMAC,
		"the frame is the host's own: it leaves by %s, and does not come in there; explain it with --port %s", d.Port, a.Bridge)
	passes := d.Verdict.Action == responder.Pass
	add(passes && reason == responder.UnknownTarget && d.Kind == responder.GuestPort,
		"the request leaves by the uplinks (%s), and only there; an answer from there reaches this guest alone", strings.Join(a.Uplinks, ", "))
	add(reason == responder.UnknownTarget && d.Kind == responder.Host && len(a.Uplinks) > 0,
		"the host's request leaves by the uplinks (%s) all the same, and may be answered there", strings.Join(a.Uplinks, ", "))
	add(passes && reason == responder.UnknownDestination,
		"the frame leaves by an uplink (%s), and reaches no guest", strings.Join(a.Uplinks, ", "))
	add(reason == responder.UnknownDestination && noHost,
		"IPv4 to the host's own MAC on %s passes; that MAC is unknown here", a.Bridge)
	add(!isARP && isUplink && reason == responder.NotARP, "the senders of frames from uplinks are not checked, except those of ARP")
	add(!isARP && d.Kind == responder.Host && reason == responder.NotARP && noHost,
		"with another MAC than the host's own, IPv4 passes only to one guest, and from an address that is bound to that MAC; "+
			"the host's MAC is unknown here")
	add(d.lacksBinding() && d.hasUnreadSources(),
		"no binding here is of the network's sources: `explain --config` does not read them; without --config, the running fabric is asked")
	return notes
}

// lacksBinding reports whether the frame is dropped because there is no binding.
func (d *decision) lacksBinding() bool {
	switch d.row().Reason {
	case responder.UnregisteredSender, responder.UnregisteredSource, responder.UnregisteredMAC, responder.UnknownTarget,
		responder.UnknownDestination:
		return d.Verdict.Action == responder.Drop && d.row().Binding == nil
	}
	return false
}

// hasUnreadSources reports whether the network has sources, and none of its bindings is of one.
func (d *decision) hasUnreadSources() bool {
	if len(d.Network.Sources) == 0 {
		return false
	}
	for b := range d.Network.Registry.All() {
		if d.isOfSource(&b) {
			return false
		}
	}
	return true
}

// isARP reports whether the decision table for ARP decided.
func (d *decision) isARP() bool {
	return !d.Rows[0].Fits && d.Rows[0].Reason == responder.NotARP
}

// howAnswered tells how the requester is answered by a decision that isAnsweredByNeighbor.
func (d *decision) howAnswered() string {
	isSidecar, isProbe := d.Network.Attach.Kind == config.AttachSidecar, d.row().Reason != responder.Answered
	switch {
	case isSidecar && isProbe:
		return "a probe of the sidecar's guest gets an answer only if the kernel answers (datapath kernel)"
	case isSidecar:
		return "the sidecar's guest gets a frame if the kernel answers (datapath kernel), or else an entry in its neighbour table"
	case isProbe:
		return "a probe of the host gets no answer"
	}
	return "the host gets an entry in its neighbour table"
}
