package top

import (
	"slices"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/show"
)

// A sample is what the fabric has answered at one time.
type sample struct {
	at         time.Time
	status     api.Status
	ports      []api.Port
	violations []api.Violation
}

// A row is a port with what has happened since the sample before.
type row struct {
	api.Port
	frames, refused float64 // a second; frames are those with a verdict
	violations      int
}

// key identifies a port in samples. A port that was made again is another one.
type key struct {
	network, name string
	index         int
}

func keyOf(p api.Port) key { return key{p.Network, p.Name, p.Index} }

// rowsOf returns a row for each port of now. Without an earlier sample the rates are 0.
func rowsOf(before, now sample) []row {
	earlier := map[key]api.Port{}
	for _, p := range before.ports {
		earlier[keyOf(p)] = p
	}
	seconds := now.at.Sub(before.at).Seconds()
	var rows []row
	for _, p := range now.ports {
		r := row{Port: p}
		if was, ok := earlier[keyOf(p)]; ok && seconds > 0 {
			r.frames = rate(sum(was.Reasons), sum(p.Reasons), seconds)
			r.refused = rate(was.Refused, p.Refused, seconds)
		}
		for _, v := range now.violations {
			if v.Network == p.Network && v.Port == p.Name {
				r.violations++
			}
		}
		rows = append(rows, r)
	}
	return rows
}

// rate returns how fast a counter has grown. One that has become smaller has begun again.
func rate(before, now uint64, seconds float64) float64 {
	if now < before {
		return 0
	}
	return float64(now-before) / seconds
}

func sum(counts map[string]uint64) (total uint64) {
	for _, n := range counts {
		total += n
	}
	return total
}

// has reports whether a text is in what the table shows of the port, or among its MACs, addresses and names.
func (r row) has(text string) bool {
	words := []string{r.Network, r.Name, string(r.Kind), show.Counts(r.Reasons)}
	for _, m := range r.MACs {
		words = append(append(words, m.MAC, m.Name), m.Addresses...)
	}
	return slices.ContainsFunc(words, func(word string) bool {
		return strings.Contains(strings.ToLower(word), strings.ToLower(text))
	})
}
