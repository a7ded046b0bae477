package show

import (
	"fmt"
	"strings"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/event"
)

// Watching describes what a watch with a filter shows: "lab (vpc on bridge br0), port vnet1 or vnet2, reason answered".
func Watching(networks []api.Network, f event.Filter) string {
	var names []string
	wanted := f.Values()
	for _, n := range networks {
		if f.HasNetwork(n.Name) {
			names = append(names, fmt.Sprintf("%s (%s on %s)", n.Name, n.Mode, n.Attach))
		}
	}
	parts := []string{strings.Join(names, ", ")}
	for _, key := range event.FilterKeys {
		if values := wanted[key]; len(values) > 0 && key != "network" {
			parts = append(parts, key+" "+strings.Join(values, " or "))
		}
	}
	return strings.Join(parts, ", ")
}

// A Tally counts the events of a watch.
type Tally struct {
	events, lost uint64
	reasons      map[string]map[string]uint64 // by action
}

// Add counts an event.
func (t *Tally) Add(e api.Event) {
	t.lost += e.Lost
	if e.Lost > 0 {
		return
	}
	t.events++
	if t.reasons == nil {
		t.reasons = map[string]map[string]uint64{}
	}
	if t.reasons[e.Action] == nil {
		t.reasons[e.Action] = map[string]uint64{}
	}
	t.reasons[e.Action][e.Reason]++
}

// Events returns the number of events that were not lost.
func (t *Tally) Events() uint64 { return t.events }

// String returns a summary: "5 events: drop 4 (unknown-target 3, spoofed-sender 1), reply 1 (answered 1); 2 were lost".
func (t *Tally) String() string {
	text := fmt.Sprintf("%d events", t.events)
	if t.events == 1 {
		text = "1 event"
	}
	sums := map[string]uint64{}
	for action, reasons := range t.reasons {
		for _, n := range reasons {
			sums[action] += n
		}
	}
	var parts []string
	for _, action := range byCount(sums) {
		parts = append(parts, fmt.Sprintf("%s %d (%s)", action, sums[action], Counts(t.reasons[action])))
	}
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	if t.lost > 0 {
		text += fmt.Sprintf("; %d were lost", t.lost)
	}
	return text
}

// Counts lists counts, the highest first: "answered 2, unknown-target 1".
func Counts(counts map[string]uint64) string {
	var parts []string
	for _, word := range byCount(counts) {
		parts = append(parts, fmt.Sprintf("%s %d", word, counts[word]))
	}
	return strings.Join(parts, ", ")
}
