package nft

import (
	"errors"
	"maps"
	"slices"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// fdb writes the locations of a plan into the forwarding databases (FDB) of bridges, as entries that do not age
// (extern_learn in bridge(8)). No frame moves an entry that is fixed. One that is not fixed is moved by a frame that comes in
// by an uplink; the bridge does not learn from guest ports.
type fdb struct {
	guests  map[int]bool   // ifindexes of the guest ports on which this fabric, or an earlier one, has written entries
	written map[fdbKey]int // ifindex of the port in each entry that this fabric has written
}

// An fdbKey identifies an entry.
type fdbKey struct {
	bridge int // ifindex
	vlan   uint16
	mac    link.MAC
}

func keyOf(e link.FDBEntry) fdbKey { return fdbKey{e.Bridge, e.VLAN, e.MAC} }

func newFDB() fdb { return fdb{map[int]bool{}, map[fdbKey]int{}} }

// takeOver notes the guest ports of an earlier fabric, whose table is still there.
func (f fdb) takeOver(s link.Snapshot) {
	for _, l := range linksOf(rememberedIn(setFull), s) {
		f.guests[l.Index] = true
	}
}

// apply writes the entries that the plan wants, and then deletes the others on guest ports: a port that has just joined may
// have sent from another guest's MAC. The allow-list of the plan must be in force, so that the bridge does not
// learn the deleted entries again. Entries that the plan no longer wants become entries like those that the bridge learns.
//
// An entry of the fabric's for a MAC that may be there stays: the fabric writes it at the guest's first frame, before the
// plan has it.
func (f fdb) apply(p datapath.Plan, s link.Snapshot) error {
	guests := locatingPorts(p, s)
	for index := range guests {
		f.guests[index] = true
	}
	if len(f.guests) == 0 {
		return nil
	}
	have, err := link.ReadFDB()
	if err != nil {
		return err
	}
	have = slices.DeleteFunc(have, func(e link.FDBEntry) bool { return isUnused(e, s) })
	wanted := wantedEntries(p, s)
	problems := []error{f.write(wanted, have)}
	for _, e := range have {
		_, isWanted := wanted[keyOf(e)]
		mayBe, isGuest := guests[e.Port]
		switch {
		case e.IsLocal || isWanted || isGuest && e.IsExternal && mayBe(registry.MAC(e.MAC)):
		case isGuest && (e.IsExternal || !e.IsStatic):
			problems = append(problems, unlessGone(link.DeleteFDB(e)))
		case !isGuest && f.isOwn(e):
			problems = append(problems, unlessGone(link.ReleaseFDB(e)))
		}
	}
	f.forget(guests, wanted)
	return errors.Join(problems...)
}

// write writes the entries that the kernel lacks, or has otherwise. An entry that the administrator has made, and that says
// the same, stays.
func (f fdb) write(wanted map[fdbKey]link.FDBEntry, have []link.FDBEntry) error {
	old := map[fdbKey]link.FDBEntry{}
	for _, e := range have {
		old[keyOf(e)] = e
	}
	var problems []error
	for key, e := range wanted {
		was := old[key]
		if was.IsLocal || f.hasMoved(e, was) {
			continue
		}
		isAdmins := was.IsStatic && !was.IsExternal && !e.IsSticky
		if was.Port == e.Port && (isAdmins || (was.IsExternal || was.IsStatic) && was.IsSticky == e.IsSticky) {
			if f.guests[e.Port] {
				f.written[key] = e.Port // the fabric may have written it when it saw the first frame
			}
			continue
		}
		if err := link.WriteFDB(e, was); err != nil {
			problems = append(problems, unlessGone(err))
			continue
		}
		f.written[key] = e.Port
	}
	return errors.Join(problems...)
}

// hasMoved reports whether the bridge has found a MAC behind an uplink since the last Apply wrote the same entry. Then the
// fabric has yet to decide where the MAC is.
func (f fdb) hasMoved(e, was link.FDBEntry) bool {
	isFound := was.Port != 0 && was.Port != e.Port && !was.IsExternal && !f.guests[was.Port]
	return isFound && !e.IsSticky && f.written[keyOf(e)] == e.Port
}

// isOwn reports whether the fabric, this one or an earlier one, has written an entry. Another program may have learned the
// MAC behind an uplink.
func (f fdb) isOwn(e link.FDBEntry) bool {
	port, written := f.written[keyOf(e)]
	return e.IsExternal && (e.IsSticky || f.guests[e.Port] || written && port == e.Port)
}

// isUnused reports whether an entry is of a VLAN of a bridge that filters none. The kernel writes such an entry beside one
// without a VLAN, moves it with that, and looks it up only once the bridge filters VLANs.
func isUnused(e link.FDBEntry, s link.Snapshot) bool {
	bridge, ok := s.FindIndex(e.Bridge)
	return ok && e.VLAN != 0 && !s.FiltersVLANs(bridge.Name)
}

// forget forgets the ports that are no guest ports any more, and the entries that are not wanted any more.
func (f fdb) forget(guests map[int]func(registry.MAC) bool, wanted map[fdbKey]link.FDBEntry) {
	maps.DeleteFunc(f.guests, func(index int, _ bool) bool { return guests[index] == nil })
	maps.DeleteFunc(f.written, func(key fdbKey, _ int) bool { _, isWanted := wanted[key]; return !isWanted })
}

// locatingPorts returns the guest ports whose locations the fabric knows, by ifindex, each with a function that tells which
// MACs may be there.
func locatingPorts(p datapath.Plan, s link.Snapshot) map[int]func(registry.MAC) bool {
	ports := map[int]func(registry.MAC) bool{}
	for _, n := range p.Networks {
		if !n.HasLocations() {
			continue
		}
		for _, l := range linksOf(n.Guests, s) {
			ports[l.Index] = func(mac registry.MAC) bool { return n.Registry.MaySend(mac, l.Name) }
		}
	}
	return ports
}

// wantedEntries returns the entries for the locations of a plan.
func wantedEntries(p datapath.Plan, s link.Snapshot) map[fdbKey]link.FDBEntry {
	wanted := map[fdbKey]link.FDBEntry{}
	for _, n := range p.Networks {
		bridge, ok := s.Find(n.Bridge)
		if !ok {
			continue
		}
		for mac, at := range n.Locations {
			port, ok := s.Find(at.Port)
			if !ok || s.MasterOf(at.Port) != n.Bridge {
				continue
			}
			e := link.FDBEntry{MAC: link.MAC(mac), VLAN: at.VLAN, Port: port.Index, Bridge: bridge.Index, IsSticky: at.Fixed}
			wanted[keyOf(e)] = e
		}
	}
	return wanted
}
