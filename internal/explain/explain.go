package explain

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/responder"
)

// Explanation is what becomes of one frame, and why. Its JSON is the same in later versions, with more keys at most.
type Explanation struct {
	Network string `json:"network"`
	Summary string `json:"summary"` // of the network, in a line
	Port    string `json:"port"`
	Frame   Frame  `json:"frame"`

	Action  string   `json:"action"` // drop, reply or pass
	Reason  string   `json:"reason"`
	Rows    []Row    `json:"rows"`            // that were tried, in order; the last one decided
	Decided []Line   `json:"decided"`         // by these lines of the configuration
	Reply   *Frame   `json:"reply,omitempty"` // as it leaves the port; absent where none does
	Change  []string `json:"change"`          // what would make another verdict of a drop
	Notes   []string `json:"notes"`           // what else matters here
}

// Frame is an Ethernet frame.
type Frame struct {
	Text string `json:"text"` // in tcpdump's words
	From string `json:"from"` // the Ethernet source; empty where the frame ends before it
	To   string `json:"to"`
	Hex  string `json:"hex"`
}

// Row is a row of the decision tables as it was tried.
type Row struct {
	Reason   string `json:"reason"`
	Fits     bool   `json:"fits"`
	Compared string `json:"compared"`          // what was held against what
	Binding  string `json:"binding,omitempty"` // file:line of the binding that the frame was held against
	Setting  string `json:"setting,omitempty"` // of the policy that the row depends on: "sender: strict"
}

// Line is a line of the configuration.
type Line struct {
	Origin string `json:"origin,omitempty"` // file:line; empty for a default, which is not written
	Text   string `json:"text"`             // what it says
}

// Place is where a frame comes in.
type Place struct {
	Network config.Network // that decides about it
	In      responder.In
	Host    bool // it is of the host's own stack, or of that of a sidecar's guest
}

// Explain decides about a frame that comes in at a place. Of a network that is classic it explains what vpc would do.
// An error says why it can't be decided here.
func Explain(at Place, frame []byte) (Explanation, error) {
	n, out := at.Network, make([]byte, responder.MaxReplyLen)
	trace := decide(at, frame, out)
	if trace.Verdict.Reason == responder.NotARP && n.Attach.Sidecar != "" && n.Guard == config.GuardFull {
		return Explanation{}, fmt.Errorf("only ARP can be explained on a sidecar; of all else the kernel lets IPv4 "+
			"from its guest's own addresses and DHCP leave %s (nft list table netdev arpfabric)", n.Attach.Sidecar)
	}
	d := decision{network: n, in: at.In, host: at.Host, claim: responder.ClaimOf(frame), trace: trace}
	e := Explanation{
		Network: n.Name, Summary: n.Summary(), Port: at.In.Port, Frame: newFrame(frame),
		Action: trace.Verdict.Action.String(), Reason: trace.Verdict.Reason.String(),
		Decided: d.decided(), Change: d.change(), Notes: d.notes(),
	}
	for _, row := range trace.Rows {
		e.Rows = append(e.Rows, newRow(row))
	}
	if trace.Verdict.Action == responder.Reply && !d.asksItself() {
		e.Reply = new(newFrame(out[:trace.Verdict.Len]))
	}
	return e, nil
}

// decide goes by the decision table, and for frames that are not ARP by that of what passes a guest port, where the
// kernel holds them against it.
func decide(at Place, frame, out []byte) responder.Trace {
	r := responder.New(at.Network.Registry, at.Network.Policy)
	trace := r.Trace(at.In, frame, out)
	if trace.Verdict.Reason != responder.NotARP || !hasAllowList(at) {
		return trace
	}
	trace.Rows[0].Compared += ", so the table of what passes a guest port decides"
	admission := r.TraceAdmit(at.In, frame)
	admission.Rows = append(trace.Rows, admission.Rows...)
	return admission
}

// hasAllowList reports whether the kernel lets pass only what Admit does.
func hasAllowList(at Place) bool {
	return at.Network.Attach.Bridge != "" && at.Network.Guard == config.GuardFull && !at.In.Uplink && !at.Host
}

func newFrame(b []byte) Frame {
	f := Frame{Text: responder.Describe(b), Hex: hex.EncodeToString(b)}
	if len(b) >= 12 {
		f.To, f.From = responder.MAC(b[0:6]).String(), responder.MAC(b[6:12]).String()
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

// A decision is a frame with what became of it.
type decision struct {
	network config.Network
	in      responder.In
	host    bool // as of a Place
	claim   responder.Claim
	trace   responder.Trace
}

// row is the one that decided.
func (d *decision) row() responder.Row { return d.trace.Rows[len(d.trace.Rows)-1] }

// asksItself reports whether who sends the frame is answered by an entry in its neighbour table: the host's own stack,
// or a sidecar's guest. With a TAP the host is answered as everybody else is.
func (d *decision) asksItself() bool { return d.host && d.network.Attach.TAP == "" }

// decided returns the lines of the configuration that the last row depends on.
func (d *decision) decided() []Line {
	lines := []Line{}
	row := d.row()
	switch {
	case row.Binding != nil:
		lines = append(lines, Line{row.Binding.Origin.String(), describe(*row.Binding)})
	case needsBinding[row.Reason]:
		missing := fmt.Sprintf("the registry of networks.%s has no such binding", d.network.Name)
		lines = append(lines, Line{d.network.Origin.String(), missing})
	}
	if row.Setting != "" {
		lines = append(lines, d.setting(row.Setting))
	}
	if row.Reason == responder.RateLimited {
		lines = append(lines, d.setting(fmt.Sprintf("rate_limit: %d", d.network.RateLimit)))
	}
	if d.isByGuard() {
		lines = append(lines, d.setting("guard: "+string(d.network.Guard)))
	}
	return lines
}

// isByGuard reports whether the verdict would be another one with another guard: on what is not ARP, from a guest.
func (d *decision) isByGuard() bool {
	dropped := d.trace.Verdict.Action == responder.Drop
	return !d.isARP() && !d.in.Uplink && !d.host && d.network.Attach.HasGuard() && (dropped || d.network.Guard != config.GuardFull)
}

// needsBinding has the reasons that say that something has no binding.
var needsBinding = map[responder.Reason]bool{
	responder.UnregisteredSender: true, responder.UnknownTarget: true, responder.UnallocatedProbe: true,
	responder.UnregisteredMAC: true, responder.UnregisteredSource: true, responder.UnknownDestination: true,
}

// setting says where a setting of the policy is written.
func (d *decision) setting(text string) Line {
	key, _, _ := strings.Cut(text, ":")
	origin, written := d.network.PolicyOrigins[key]
	if !written {
		return Line{Text: "policy." + text + " (the default)"}
	}
	return Line{origin.String(), "policy." + text}
}

// describe writes a binding with all that it says: "10.239.0.102 is-at 02:00:07:de:54:a8, name db, port vnet3".
func describe(b responder.Binding) string {
	text := b.String()
	if b.Name != "" {
		text += ", name " + b.Name
	}
	if b.Port != "" {
		text += ", port " + b.Port
	}
	return text
}

// Dropped reports whether the frame goes nowhere and nobody answers it.
func (e Explanation) Dropped() bool { return e.Action == responder.Drop.String() }
