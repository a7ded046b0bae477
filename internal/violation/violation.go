package violation

import (
	"cmp"
	"net/netip"

	"github.com/arpfabric/arpfabric/responder"
)

// A Violation is the use of a MAC or an address that is not the sender's own.
type Violation struct {
	Network, Port string
	Reason        responder.Reason // one for which Is returns true
	Action        responder.Action // the action on the frame
	responder.SenderIdentity
}

// messages are the log messages for the reasons that are violations. Other reasons for a drop do not mean that a guest
// uses another's identity.
var messages = [responder.NumReasons]string{
	responder.InvalidSenderMAC:   "guest uses an invalid MAC",
	responder.SenderMACMismatch:  "guest sends ARP with a sender MAC other than its Ethernet source",
	responder.InvalidSenderIP:    "guest uses an invalid address",
	responder.UnregisteredSender: "guest uses an address without a binding",
	responder.SpoofedSender:      "guest uses another host's address",
	responder.NotHolder:          "guest uses an address that another guest holds",
	responder.ConflictProbe:      "guest probes for another host's address",
	responder.UnregisteredMAC:    "guest uses a MAC without a binding for its port",
	responder.UnregisteredSource: "guest uses an address without a binding",
	responder.SpoofedSource:      "guest uses another host's address",
}

// Is reports whether a frame with this reason is a violation.
func Is(reason responder.Reason) bool { return messages[reason] != "" }

// Claimed returns the address that the sender uses, or wants to use if it probes for it.
func (v *Violation) Claimed() netip.Addr {
	if v.Reason == responder.ConflictProbe {
		return v.Target
	}
	return v.Sender
}

// compare orders violations by network and port, then by the other fields.
func (v *Violation) compare(w *Violation) int {
	return cmp.Or(
		cmp.Compare(v.Network, w.Network), cmp.Compare(v.Port, w.Port), cmp.Compare(v.Reason, w.Reason),
		cmp.Compare(v.MAC.String(), w.MAC.String()), v.Sender.Compare(w.Sender), v.Target.Compare(w.Target),
		cmp.Compare(v.Action, w.Action),
	)
}
