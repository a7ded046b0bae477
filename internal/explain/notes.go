package explain

import (
	"fmt"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/responder"
)

// notes says what the verdict alone does not, and what a configuration does not have that would matter.
func (d *decision) notes() []string {
	notes := []string{}
	add := func(applies bool, format string, args ...any) {
		if applies {
			notes = append(notes, fmt.Sprintf(format, args...))
		}
	}
	a, reason := d.network.Attach, d.row().Reason
	isVPC, isUplink := d.network.Mode == config.VPC, d.in.Uplink
	replies, isARP := d.trace.Verdict.Action == responder.Reply, d.isARP()
	noSource, noHost := d.in.Source == responder.MAC{}, d.in.HostMAC == responder.MAC{}

	add(!isVPC, "mode is classic: the frame goes on as on a plain bridge, and nobody answers; this is what vpc would do")
	add(isVPC && isARP && a.Bridge != "" && d.network.Guard == config.GuardNone,
		"guard is none: whatever the verdict, the frame goes on to the other members of %s", a.Bridge)
	add(replies && d.asksItself() && reason == responder.Answered,
		"no frame leaves %s: %s is answered by an entry in its neighbour table", d.in.Port, d.itself())
	add(replies && d.asksItself() && reason != responder.Answered,
		"no frame leaves %s: a probe of %s gets no answer", d.in.Port, d.itself())
	add(isARP && a.Interface != "" && len(d.network.Policy.Host) == 0,
		"requests for the addresses of %s itself are left to the kernel; they are not known here", a.Interface)
	add(replies && a.Interface != "" && noSource,
		"the answer leaves with the MAC of %s as its Ethernet source, which is not known here", a.Interface)
	add(replies && isUplink && noSource,
		"the answer leaves with the host's MAC as its Ethernet source, which is not known here")
	add(reason == responder.UnknownDestination && noHost,
		"IPv4 to the host's own MAC on %s passes; it is not known here", a.Bridge)
	add(!isARP && isUplink, "what uplinks send is not looked at, but for ARP")
	add(!isARP && d.host, "what the host itself sends is not looked at, but for ARP")
	return notes
}

// isARP reports whether the frame went by the decision table to its end.
func (d *decision) isARP() bool {
	return !d.trace.Rows[0].Fits && d.trace.Rows[0].Reason == responder.NotARP
}

// itself says who asks where asksItself.
func (d *decision) itself() string {
	if d.network.Attach.Sidecar != "" {
		return "the sidecar's guest"
	}
	return "the host"
}
