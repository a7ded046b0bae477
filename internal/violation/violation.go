package violation

import (
	"cmp"
	"net/netip"

	"github.com/arpfabric/arpfabric/responder"
)

// A Violation is the use of an identity, a MAC or an address, that is not the sender's own.
type Violation struct {
	Network, Port string
	Reason        responder.Reason // one that Is says yes to
	Action        responder.Action // what was done with the frame
	responder.Claim
}

// words say what a guest does, for the reasons that are violations. The other reasons for a drop are noise: they
// are no sign that somebody poses as somebody else.
var words = [responder.NumReasons]string{
	responder.InvalidSenderMAC:   "guest uses a MAC that no host can have",
	responder.SenderMACMismatch:  "guest names another MAC in ARP than it sends from",
	responder.InvalidSenderIP:    "guest uses an address that no host can have",
	responder.UnregisteredSender: "guest uses an address without a binding",
	responder.SpoofedSender:      "guest uses another's address",
	responder.ConflictProbe:      "guest is about to use another's address",
	responder.UnregisteredMAC:    "guest uses a MAC without a binding for its port",
	responder.UnregisteredSource: "guest uses an address without a binding",
	responder.SpoofedSource:      "guest uses another's address",
}

// Is reports whether a frame with this reason is a violation.
func Is(reason responder.Reason) bool { return words[reason] != "" }

// Claimed returns the address that the violation is about: who probes for an address wants to have it.
func (v *Violation) Claimed() netip.Addr {
	if v.Reason == responder.ConflictProbe {
		return v.Target
	}
	return v.Sender
}

// compare orders violations by network and port, then by what they are.
func (v *Violation) compare(w *Violation) int {
	return cmp.Or(
		cmp.Compare(v.Network, w.Network), cmp.Compare(v.Port, w.Port), cmp.Compare(v.Reason, w.Reason),
		cmp.Compare(v.MAC.String(), w.MAC.String()), v.Sender.Compare(w.Sender), v.Target.Compare(w.Target),
		cmp.Compare(v.Action, w.Action),
	)
}
