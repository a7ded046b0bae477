package fabric

import (
	"errors"
	"maps"
	"slices"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/link"
)

// learning is the bridges that do not learn from frames to link-local groups, which the guard does not get to see, by
// ifindex.
type learning map[int]deaf

// deaf is a bridge that does not learn from them.
type deaf struct {
	bridge link.Link
	told   bool // by the fabric, and not by the administrator before it
}

// follow tells the bridges of fully guarded networks, once each, and lets others learn again.
func (known learning) follow(networks []*network, s link.Snapshot) error {
	var problems []error
	var guarded []int
	for _, n := range networks {
		bridge, ok := s.Find(n.segment().bridge)
		if !ok || !n.guarded() || n.config().Guard != config.GuardFull {
			continue
		}
		guarded = append(guarded, bridge.Index)
		if _, done := known[bridge.Index]; done {
			continue
		}
		if err := known.tell(bridge); err != nil {
			problems = append(problems, err)
		}
	}
	for index, deaf := range maps.Clone(known) {
		if slices.Contains(guarded, index) {
			continue
		}
		delete(known, index)
		if _, there := s.Find(deaf.bridge.Name); there && deaf.told {
			problems = append(problems, link.SetLinkLocalLearning(deaf.bridge, true))
		}
	}
	return errors.Join(problems...)
}

func (known learning) tell(bridge link.Link) error {
	learns, err := link.LinkLocalLearning(bridge)
	if err == nil && learns {
		err = link.SetLinkLocalLearning(bridge, false)
	}
	if err == nil {
		known[bridge.Index] = deaf{bridge, learns}
	}
	return err
}
