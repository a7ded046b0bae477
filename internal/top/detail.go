package top

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/explain"
	"github.com/arpfabric/arpfabric/internal/show"
	"github.com/arpfabric/arpfabric/responder"
)

// A detail explains one row.
type detail struct {
	port  key
	lines []string
	top   int // the first line that is shown
}

// detailOf asks the fabric about a port: what is behind it, its violations, and why its last frame was dropped, or else what
// became of it.
func (m Model) detailOf(r row) detail {
	var text strings.Builder
	fmt.Fprintf(&text, "%s, %s port of network %s\n\n", r.Name, r.Kind, r.Network)
	for _, mac := range r.MACs {
		fmt.Fprintf(&text, "behind it: %s %s (%s, %s)\n",
			mac.MAC, strings.TrimSpace(strings.Join(mac.Addresses, ", ")+" "+mac.Name), mac.From, show.Ago(m.last.at, mac.Since))
	}
	fmt.Fprintf(&text, "verdicts:  %s\n", show.Counts(r.Reasons))
	for _, v := range m.last.violations {
		if v.Network == r.Network && v.Port == r.Name {
			fmt.Fprintf(&text, "violation: %s, frames: %d, last %s (arpfabric violations --port %s)\n",
				v.Reason, v.Count, show.Ago(m.last.at, v.Last), r.Name)
		}
	}
	text.WriteString("\n" + m.explainLast(r.Port))
	return detail{port: keyOf(r.Port), lines: strings.Split(strings.TrimRight(text.String(), "\n"), "\n")}
}

// explainLast explains the last frame of a port that was dropped, or else its last frame.
func (m Model) explainLast(p api.Port) string {
	f := event.Filter{Networks: []string{p.Network}, Ports: []string{p.Name}, Actions: []responder.Action{responder.Drop}}
	e, ok, err := m.fabric.LastEvent(m.ctx, f)
	if err == nil && !ok {
		f.Actions = nil
		e, ok, err = m.fabric.LastEvent(m.ctx, f)
	}
	switch {
	case err != nil:
		return err.Error()
	case !ok:
		return fmt.Sprintf("No frame of this port is among the last %d that the fabric keeps.", event.MaxLast)
	}
	explanation, err := m.fabric.Explain(m.ctx, explain.Question{Network: p.Network, Port: p.Name, Hex: hex.EncodeToString(e.Frame)})
	if err != nil {
		return err.Error()
	}
	var text strings.Builder
	fmt.Fprintf(&text, "The last %s frame, %s, decided again now:\n\n", past[e.Action], show.Ago(m.last.at, e.Time))
	_ = explanation.Print(&text) // a Builder takes everything
	return text.String()
}

// past has the actions as participles.
var past = map[string]string{
	responder.Drop.String(): "dropped", responder.Reply.String(): "answered", responder.Pass.String(): "passed",
}
