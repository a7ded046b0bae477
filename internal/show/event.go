package show

import (
	"fmt"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// Event writes an event on a line: the time, the network, the port, the frame as tcpdump prints it, the action and the
// reason.
func (o *Output) Event(e api.Event) error {
	at := e.Time.Local().Format("15:04:05.000000")
	if e.Lost > 0 {
		were := "events were"
		if e.Lost == 1 {
			were = "event was"
		}
		_, err := fmt.Fprintf(o.w, "%s %d %s lost: there were too many; use filters, such as --reason\n", at, e.Lost, were)
		return err
	}
	action := e.Action
	switch {
	case e.DryRun:
		action += " (classic: forwarded)"
	case e.Action == responder.Pass.String() && (e.Reason == responder.UnknownTarget.String() || e.Reason == responder.UnknownDestination.String()):
		action += " (to uplinks)"
	}
	reason := e.Reason
	if e.Undelivered != "" {
		reason += " (not delivered: " + e.Undelivered + ")"
	}
	frame := fmt.Sprintf("%s %s %s %s%s: ", at, e.Network, e.Port, e.Words, sender(e))
	verdict := action + " " + reason
	if e.Earlier {
		return o.Line(o.style(frame+verdict, faint))
	}
	return o.Line(frame + o.style(verdict, colours[e.Action]))
}

// colours of the actions.
var colours = map[string]int{
	responder.Reply.String(): green, responder.Drop.String(): red, responder.Pass.String(): yellow,
}

// showsSender has the reasons that depend on the source MAC of the Ethernet header, which tcpdump does not print.
var showsSender = map[string]bool{
	responder.UnregisteredSender.String(): true, responder.SpoofedSender.String(): true,
	responder.NotHolder.String():          true,
	responder.UnregisteredSource.String(): true, responder.SpoofedSource.String(): true,
	responder.UnregisteredMAC.String(): true,
}

// sender returns the source MAC of an event's frame if the reason depends on it, in the form that explain accepts.
func sender(e api.Event) string {
	const sourceAt = 6
	if !showsSender[e.Reason] || len(e.Frame) < sourceAt+len(registry.MAC{}) {
		return ""
	}
	return " from " + registry.MAC(e.Frame[sourceAt:][:len(registry.MAC{})]).String()
}
