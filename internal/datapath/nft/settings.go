package nft

import (
	"errors"
	"slices"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// A setting is a value of a bridge or of a port, on or off, that the fabric changes for fully guarded networks.
type setting struct {
	set, comment string // the set of the table that remembers the interfaces on which the fabric has changed the value
	want         bool   // the value that the fabric sets
	wantedOn     func(p datapath.Plan) (interfaces []string)
	get          func(v *values, l link.Link) (on, ok bool, err error) // not ok if l is not, or no longer, in a bridge
	put          func(v *values, l link.Link, on bool) error
}

// allSettings are the settings that let the rules see the frames to link-local groups (IEEE 802.1D, 7.12.6), and those that
// keep frames for one guest away from the others. A bridge learns from frames to link-local groups before any rule sees
// them, and takes two kinds itself: the Spanning Tree Protocol's, and those to 01:80:c2:00:00:0e (LLDP). It forgets a guest
// that is silent, and then floods the frames for it.
var allSettings = [...]setting{
	{
		set: "changed_linklocal", comment: "bridges to restore: they learned from link-local groups",
		want: false, wantedOn: fullBridges, get: (*values).learnsLinkLocal, put: (*values).setLinkLocalLearning,
	},
	{
		set: "changed_stp", comment: "ports to restore: their bridge took spanning tree's frames itself",
		want: true, wantedOn: fullGuests, get: getForwarding(1 << 0), put: putForwarding(1 << 0),
	},
	{
		set: "changed_lldp", comment: "ports to restore: their bridge took LLDP's frames itself",
		want: true, wantedOn: fullGuests, get: getForwarding(1 << 0xe), put: putForwarding(1 << 0xe),
	},
	{
		set: "changed_learning", comment: "ports to restore: their bridge learned MACs behind them",
		want: false, wantedOn: locatingGuests, get: (*values).learns, put: (*values).setLearning,
	},
	{
		set: "changed_flood", comment: "ports to restore: their bridge flooded frames for unknown MACs to them",
		want: false, wantedOn: locatedGuests, get: (*values).floods, put: (*values).setFlooding,
	},
}

func fullGuests(p datapath.Plan) []string { return p.GuestsOf(datapath.Network.IsFull) }

func locatingGuests(p datapath.Plan) []string { return p.GuestsOf(datapath.Network.HasLocations) }

// locatedGuests returns the guest ports behind which a registered MAC is. Others still get the frames for a MAC that is
// nowhere else: the guest behind them may not have spoken yet.
func locatedGuests(p datapath.Plan) []string {
	var ports []string
	for _, n := range p.Networks {
		ports = append(ports, n.LocatedGuests()...)
	}
	return ports
}

func fullBridges(p datapath.Plan) []string {
	var bridges []string
	for _, n := range p.Networks {
		if n.IsFull() {
			bridges = append(bridges, n.Bridge)
		}
	}
	return bridges
}

// settings has the interfaces whose settings the fabric wants, with their values from before. It sets a value again after
// another program has changed it, and restores it when the plan no longer wants it.
//
// The table remembers the changed interfaces, so that the next fabric restores them if this one is killed.
type settings [len(allSettings)]map[int]bool // by setting and ifindex

func newSettings() settings {
	var s settings
	for i := range s {
		s[i] = map[int]bool{}
	}
	return s
}

// takeOver notes the interfaces that the table of an earlier fabric remembers, except those that another program has
// changed back since then.
func (s settings) takeOver(snapshot link.Snapshot) error {
	var problems []error
	now := &values{}
	for i, one := range allSettings {
		for _, l := range linksOf(rememberedIn(one.set), snapshot) {
			on, ok, err := one.get(now, l)
			problems = append(problems, unlessGone(err))
			if err == nil && ok && on == one.want {
				s[i][l.Index] = !one.want
			}
		}
	}
	return errors.Join(problems...)
}

// rememberedIn returns the names in a set of the table. It returns none if there is no such set, as in the table of an
// older fabric.
func rememberedIn(name string) []string {
	c, err := nftables.New()
	if err != nil {
		return nil
	}
	set := byPort(name, "")
	elements, err := c.GetSetElements(&set)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range elements {
		names = append(names, unix.ByteSliceToString(e.Key))
	}
	return names
}

// sets returns the sets by which the table remembers the changed interfaces.
func (s settings) sets(snapshot link.Snapshot) []set {
	var list []set
	for i, one := range allSettings {
		var names []string
		for index, before := range s[i] {
			if l, ok := snapshot.FindIndex(index); ok && before != one.want {
				names = append(names, l.Name)
			}
		}
		list = append(list, nameSet(one.set, one.comment, names))
	}
	return list
}

// prepare notes the present values of the interfaces that apply will change, so that the table can remember these before
// it does.
func (s settings) prepare(now *values, p datapath.Plan, snapshot link.Snapshot) error {
	var problems []error
	for i, one := range allSettings {
		for _, l := range linksOf(one.wantedOn(p), snapshot) {
			if _, known := s[i][l.Index]; known {
				continue
			}
			on, ok, err := one.get(now, l)
			problems = append(problems, unlessGone(err))
			if err == nil && ok {
				s[i][l.Index] = on
			}
		}
	}
	return errors.Join(problems...)
}

// apply sets the values that the plan wants and that are noted, and restores the others.
func (s settings) apply(now *values, p datapath.Plan, snapshot link.Snapshot) error {
	var problems []error
	for i, one := range allSettings {
		wanted := map[int]bool{}
		for _, l := range linksOf(one.wantedOn(p), snapshot) {
			wanted[l.Index] = true
			if _, noted := s[i][l.Index]; noted {
				problems = append(problems, one.change(now, l, one.want))
			}
		}
		for index, before := range s[i] {
			if !wanted[index] {
				problems = append(problems, s.restore(i, now, index, before, snapshot))
			}
		}
	}
	return errors.Join(problems...)
}

// restore does nothing if the interface is gone, even if another one has its name.
func (s settings) restore(i int, now *values, index int, before bool, snapshot link.Snapshot) error {
	if l, ok := snapshot.FindIndex(index); ok {
		if err := allSettings[i].change(now, l, before); err != nil {
			return err
		}
	}
	delete(s[i], index)
	return nil
}

// change sets the value on an interface, unless it is set already.
func (one setting) change(now *values, l link.Link, on bool) error {
	is, ok, err := one.get(now, l)
	if err == nil && ok && is != on {
		err = one.put(now, l, on)
	}
	return unlessGone(err)
}

// linksOf returns the interfaces of the given names that exist, each once.
func linksOf(names []string, snapshot link.Snapshot) []link.Link {
	var links []link.Link
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		if l, ok := snapshot.Find(name); ok {
			links = append(links, l)
		}
	}
	return links
}

// unlessGone returns err, or nil if it says that the interface is gone or has left its bridge.
func unlessGone(err error) error {
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

// values reads the values of settings. It reads those of all ports at once.
type values struct {
	members map[int]link.MemberSettings // by the port's ifindex; nil until they are read
}

// of returns the settings of a port. It returns false if the port is not, or no longer, in a bridge.
func (v *values) of(port link.Link) (m link.MemberSettings, ok bool, err error) {
	if v.members == nil {
		if v.members, err = link.ReadMemberSettings(); err != nil {
			return m, false, err
		}
	}
	m, ok = v.members[port.Index]
	return m, ok, nil
}

func (v *values) learns(port link.Link) (on, ok bool, err error) {
	m, ok, err := v.of(port)
	return m.Learns, ok, err
}

func (v *values) setLearning(port link.Link, on bool) error { return link.SetLearning(port, on) }

func (v *values) floods(port link.Link) (on, ok bool, err error) {
	m, ok, err := v.of(port)
	return m.Floods, ok, err
}

func (v *values) setFlooding(port link.Link, on bool) error { return link.SetFlooding(port, on) }

func (v *values) learnsLinkLocal(bridge link.Link) (on, ok bool, err error) {
	on, err = link.LinkLocalLearning(bridge)
	return on, true, err
}

func (v *values) setLinkLocalLearning(bridge link.Link, on bool) error {
	return link.SetLinkLocalLearning(bridge, on)
}

// getForwarding reads a bit of group_fwd_mask. If it is set, the bridge sends the frames to a link-local group through
// the rules.
func getForwarding(bit uint16) func(*values, link.Link) (bool, bool, error) {
	return func(v *values, port link.Link) (on, ok bool, err error) {
		m, ok, err := v.of(port)
		return m.GroupForwarding&bit != 0, ok, err
	}
}

func putForwarding(bit uint16) func(*values, link.Link, bool) error {
	return func(v *values, port link.Link, on bool) error {
		m := v.members[port.Index]
		m.GroupForwarding &^= bit
		if on {
			m.GroupForwarding |= bit
		}
		v.members[port.Index] = m // the next bit is added to it
		return link.SetGroupForwarding(port, m.GroupForwarding)
	}
}
