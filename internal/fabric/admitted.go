package fabric

import (
	"errors"
	"maps"

	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/arpfabric/arpfabric/internal/link"
)

// admitted is the ports, by ifindex, whose frames the allow-list looks at before their bridge learns from them, with the
// bridges that they are members of.
type admitted map[int]string

// follow makes bridges forget what they learned from ports before the allow-list of a plan, which is in force by now,
// looked at their frames: who joins may have claimed another's MAC. What is for hosts behind these ports is flooded
// until they next speak.
func (a admitted) follow(plan guard.Plan, s link.Snapshot) error {
	var problems []error
	now := admitted{}
	for _, name := range plan.Admitted() {
		port, ok := s.Find(name)
		bridge := s.MasterOf(name)
		if !ok || bridge == "" {
			continue
		}
		if a[port.Index] != bridge {
			if err := link.ForgetMACs(port); err != nil {
				problems = append(problems, err)
				continue
			}
		}
		now[port.Index] = bridge
	}
	clear(a)
	maps.Copy(a, now)
	return errors.Join(problems...)
}
