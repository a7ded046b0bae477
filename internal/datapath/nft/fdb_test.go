package nft_test

import (
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/datapath/nft"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/vishvananda/netlink"
)

// TestLocationsOutliveTheFabric checks that the FDB entries and the settings of a killed fabric stay, and that
// `arpfabric release` makes the entries ordinary ones, and restores the settings, whether an entry is sticky or not.
func TestLocationsOutliveTheFabric(t *testing.T) {
	for name, isFixed := range map[string]bool{"found": false, "bound to the port": true} {
		t.Run(name, func(t *testing.T) { testLocationOutlives(t, isFixed) })
	}
}

func testLocationOutlives(t *testing.T, isFixed bool) {
	m := addMember(t, settings{learns: true})
	for _, end := range []string{"vnet0", "vnet0-far"} { // a port that is down can't have an ordinary entry
		labtest.Must(t, link.Up(end))
	}
	labtest.Eventually(t, "the port is up", func() bool {
		l, err := netlink.LinkByName(m.port.Name)
		labtest.Must(t, err)
		return l.Attrs().OperState == netlink.OperUp
	})
	mac := registry.MAC{2, 0, 0, 0, 0, 1}
	p := m.plan()
	p.Networks[0].Locations = map[registry.MAC]datapath.Location{mac: {Port: m.port.Name, Fixed: isFixed}}
	applyTo(t, newDatapath(t), p)
	expectMember(t, m, link.MemberSettings{}, link.FDBEntry{IsExternal: true, IsStatic: isFixed, IsSticky: isFixed})
	labtest.Must(t, nft.New().Remove())
	expectMember(t, m, link.MemberSettings{Learns: true, Floods: true}, link.FDBEntry{})
}

// TestFirstEntryStays checks that a plan that does not have a location yet leaves the entry that the fabric has written at a
// guest's first frame, and deletes that of a MAC that may not be there.
func TestFirstEntryStays(t *testing.T) {
	m := addMember(t, settings{learns: true})
	guest, stranger := registry.MAC{2, 0, 0, 0, 0, 1}, registry.MAC{2, 0, 0, 0, 0, 2}
	p := m.plan()
	p.Networks[0].Registry = registrytest.New(t, registrytest.Bind("10.239.0.101", guest.String()))
	d := newDatapath(t)
	applyTo(t, d, p)
	for _, mac := range []registry.MAC{guest, stranger} {
		labtest.Must(t, link.WriteFDB(link.FDBEntry{MAC: link.MAC(mac), Port: m.port.Index}, link.FDBEntry{}))
	}
	applyTo(t, d, p)
	entries, err := link.ReadFDB()
	labtest.Must(t, err)
	has := func(mac registry.MAC) bool {
		return slices.ContainsFunc(entries, func(e link.FDBEntry) bool { return e.MAC == link.MAC(mac) })
	}
	if !has(guest) || has(stranger) {
		t.Errorf("the entry of the guest is there: %v, that of a stranger: %v; want only the guest's", has(guest), has(stranger))
	}
}

// expectMember checks learning and flooding of a member, and the kind of its only entry.
func expectMember(t *testing.T, m member, want link.MemberSettings, kind link.FDBEntry) {
	t.Helper()
	all, err := link.ReadMemberSettings()
	labtest.Must(t, err)
	if now := all[m.port.Index]; now.Learns != want.Learns || now.Floods != want.Floods {
		t.Errorf("the settings are %+v, want %+v", now, want)
	}
	entries, err := link.ReadFDB()
	labtest.Must(t, err)
	isRight := func(e link.FDBEntry) bool {
		return e.Port == m.port.Index && !e.IsLocal && e.IsExternal == kind.IsExternal && e.IsStatic == kind.IsStatic && e.IsSticky == kind.IsSticky
	}
	if !slices.ContainsFunc(entries, isRight) {
		t.Errorf("no entry is of the kind %+v: %+v", kind, entries)
	}
}
