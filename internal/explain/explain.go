package explain

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// Explanation is the verdict about one frame, with its reasons. Later versions may add keys to its JSON, and change none.
type Explanation struct {
	Network string `json:"network"`
	Summary string `json:"summary"` // the network in one line
	Port    string `json:"port"`
	Frame   Frame  `json:"frame"`

	Action  string   `json:"action"` // drop, reply or pass
	Reason  string   `json:"reason"`
	Rows    []Row    `json:"rows"`            // the rows that were evaluated, in order; the last one decided
	Decided []Line   `json:"decided"`         // the lines of the configuration that decided
	Reply   *Frame   `json:"reply,omitempty"` // the answer as it leaves the port; absent if none does
	Change  []string `json:"change"`          // how to change a drop
	Notes   []string `json:"notes"`           // other facts that matter
}

// Frame is an Ethernet frame.
type Frame struct {
	Text string `json:"text"` // as tcpdump prints it
	From string `json:"from"` // the Ethernet source; empty if the frame ends before it
	To   string `json:"to"`
	Hex  string `json:"hex"`
}

// Row is a row of the decision tables, compared with the frame.
type Row struct {
	Reason   string `json:"reason"`
	Fits     bool   `json:"fits"`
	Compared string `json:"compared"`          // the values that were compared
	Binding  string `json:"binding,omitempty"` // file:line of the binding that the frame was compared with
	Setting  string `json:"setting,omitempty"` // the key of the policy that the row depends on: "sender: strict"
}

// Line is a line of the configuration.
type Line struct {
	Origin string `json:"origin,omitempty"` // file:line; empty for a default
	Text   string `json:"text"`             // its content
}

// Explain decides about a frame and explains the verdict. For a network in mode classic it explains the verdict of mode
// vpc. It returns an error if only the kernel can decide about the frame.
func Explain(in config.Ingress, frame []byte) (Explanation, error) {
	n, out := in.Network, make([]byte, responder.MaxReplyLen)
	why := responder.New(n.Registry, n.Policy).Explain(in.Ingress, frame, out)
	if why.Verdict.Reason == responder.NotARP && n.Attach.Kind == config.AttachSidecar && n.Guard == config.GuardFull {
		return Explanation{}, fmt.Errorf("only ARP can be explained on a sidecar; of other frames, the kernel lets IPv4 "+
			"from its guest's own addresses and DHCP leave %s (nft list table netdev arpfabric)", n.Attach.Device)
	}
	d := decision{Ingress: in, Explanation: why, sender: responder.SenderIdentityOf(frame)}
	e := Explanation{
		Network: n.Name, Summary: n.Summary(), Port: in.Port, Frame: newFrame(frame),
		Action: why.Verdict.Action.String(), Reason: why.Verdict.Reason.String(),
		Decided: d.decided(), Change: d.change(), Notes: d.notes(),
	}
	for _, row := range why.Rows {
		e.Rows = append(e.Rows, newRow(row))
	}
	if why.Verdict.Action == responder.Reply && !d.isAnsweredByNeighbor() {
		e.Reply = new(newFrame(out[:why.Verdict.Len]))
	}
	return e, nil
}

func newFrame(b []byte) Frame {
	f := Frame{Text: responder.Describe(b), Hex: hex.EncodeToString(b)}
	if len(b) >= 12 { // also where the EtherType is missing
		f.To, f.From = registry.MAC(b[0:6]).String(), registry.MAC(b[6:12]).String()
	}
	return f
}

func newRow(r responder.Row) Row {
	row := Row{Reason: r.Reason.String(), Fits: r.Fits, Compared: r.Compared, Setting: r.Setting}
	if r.Binding != nil {
		row.Binding = r.Binding.Origin.String()
	}
	return row
}

// A decision is an ingress and a frame with its explanation.
type decision struct {
	config.Ingress
	responder.Explanation
	sender responder.SenderIdentity
}

// row returns the row that decided.
func (d *decision) row() responder.Row { return d.Rows[len(d.Rows)-1] }

// isAnsweredByNeighbor reports whether the fabric answers the requester by an entry in its neighbour table: the host's own
// stack, or a sidecar's guest, which the kernel may answer with a frame instead. With a TAP, the host is answered by a frame
// as other requesters are.
func (d *decision) isAnsweredByNeighbor() bool {
	return d.Kind == responder.Host && d.Network.Attach.Kind != config.AttachTAP
}

// decided returns the lines of the configuration that the last row depends on.
func (d *decision) decided() []Line {
	lines := []Line{}
	row := d.row()
	switch {
	case row.Binding != nil:
		lines = append(lines, Line{row.Binding.Origin.String(), describe(*row.Binding)})
	case needsBinding[row.Reason]:
		missing := fmt.Sprintf("the registry of networks.%s has no such binding", d.Network.Name)
		lines = append(lines, Line{d.Network.Origin.String(), missing})
	}
	if row.Setting != "" {
		lines = append(lines, d.setting(row.Setting))
	}
	if row.Reason == responder.RateLimited {
		lines = append(lines, d.setting(fmt.Sprintf("rate_limit: %d", d.Network.RateLimit)))
	}
	if d.dependsOnGuard() {
		lines = append(lines, d.setting("guard: "+string(d.Network.Guard)))
	}
	return lines
}

// dependsOnGuard reports whether the verdict depends on the guard: the frame is not ARP, and from a guest or refused to one.
func (d *decision) dependsOnGuard() bool {
	dropped := d.Verdict.Action == responder.Drop
	isChecked := d.Kind == responder.GuestPort || dropped
	return !d.isARP() && isChecked && d.Network.Attach.HasGuard() && (dropped || d.Network.Guard != config.GuardFull)
}

// needsBinding has the reasons that mean that a binding is missing.
var needsBinding = map[responder.Reason]bool{
	responder.UnregisteredSender: true, responder.UnknownTarget: true, responder.UnallocatedProbe: true,
	responder.UnregisteredMAC: true, responder.UnregisteredSource: true, responder.UnknownDestination: true,
}

// setting returns a setting of the policy, with its place.
func (d *decision) setting(text string) Line {
	key, _, _ := strings.Cut(text, ":")
	origin, written := d.Network.PolicyOrigins[key]
	if !written {
		return Line{Text: "policy." + text + " (the default)"}
	}
	return Line{origin.String(), "policy." + text}
}

// describe returns a binding with all its keys: "10.239.0.102 is-at 02:00:07:de:54:a8, name db, port vnet3".
func describe(b registry.Binding) string {
	text := b.String()
	if b.Name != "" {
		text += ", name " + b.Name
	}
	if b.Port != "" {
		text += ", port " + b.Port
	}
	if !b.Candidates.IsEmpty() {
		text += ", may move between " + b.Candidates.String()
	}
	if !b.Routes.IsEmpty() {
		text += ", routes " + b.Routes.String()
	}
	return text
}

// Dropped reports whether the frame is dropped without an answer.
func (e Explanation) Dropped() bool { return e.Action == responder.Drop.String() }
