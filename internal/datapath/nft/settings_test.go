package nft_test

import (
	"net"
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/datapath/nft"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// TestSettingsOutliveTheFabric checks that the settings that a killed fabric has changed are restored by the next one, by
// `arpfabric release`, and by no fabric that fails to start; and that one which another program has changed since is left
// alone.
func TestSettingsOutliveTheFabric(t *testing.T) {
	guarded := settings{learns: false, forwarded: 0x4011}
	for name, c := range map[string]struct {
		after func(t *testing.T, m member)
		want  settings
	}{
		"by the next fabric, when it stops": {func(t *testing.T, m member) {
			d := nft.New()
			applyTo(t, d, m.plan())
			applyTo(t, d, datapath.Plan{})
		}, settings{true, 0x0010}},
		"by a fabric without bridges":        {func(t *testing.T, m member) { applyTo(t, nft.New(), datapath.Plan{}) }, settings{true, 0x0010}},
		"by hand":                            {func(t *testing.T, m member) { labtest.Must(t, nft.New().Remove()) }, settings{true, 0x0010}},
		"not by a fabric that fails":         {rollBack, guarded},
		"not if another program changes one": {changeThenRemove, settings{true, 0x0030}},
	} {
		t.Run(name, func(t *testing.T) {
			m := addMember(t, settings{true, 0x0010})
			applyTo(t, newDatapath(t), m.plan())
			m.expect(t, guarded)
			c.after(t, m)
			m.expect(t, c.want)
		})
	}
}

func rollBack(t *testing.T, m member) {
	d := nft.New()
	applyTo(t, d, m.plan())
	labtest.Must(t, d.Rollback())
}

func changeThenRemove(t *testing.T, m member) {
	labtest.Must(t, link.SetGroupForwarding(m.port, 0x0030))
	labtest.Must(t, nft.New().Remove())
}

// settings says how a bridge and its member treat frames to link-local groups.
type settings struct {
	learns    bool   // the bridge learns from them
	forwarded uint16 // group_fwd_mask of the member
}

// A member is a port of a bridge.
type member struct{ bridge, port link.Link }

// addMember makes a bridge with one port.
func addMember(t *testing.T, s settings) member {
	t.Helper()
	labtest.Must(t, lab.AddBridge("br0"))
	t.Cleanup(func() { lab.DeleteLink("br0") })
	addInterface(t, "vnet0")
	labtest.Must(t, lab.SetMaster("vnet0", "br0"))
	m := member{linkOf(t, "br0"), linkOf(t, "vnet0")}
	labtest.Must(t, link.SetLinkLocalLearning(m.bridge, s.learns))
	labtest.Must(t, link.SetGroupForwarding(m.port, s.forwarded))
	return m
}

func linkOf(t *testing.T, name string) link.Link {
	t.Helper()
	dev, err := net.InterfaceByName(name)
	labtest.Must(t, err)
	return link.Link{Name: dev.Name, Index: dev.Index}
}

func (m member) plan() datapath.Plan {
	return datapath.Plan{Networks: []datapath.Network{{
		Name: "lab", Bridge: m.bridge.Name, Guests: []string{m.port.Name}, AllowList: datapath.Enforce, Registry: &registry.Registry{},
	}}}
}

func (m member) expect(t *testing.T, want settings) {
	t.Helper()
	learns, err := link.LinkLocalLearning(m.bridge)
	labtest.Must(t, err)
	members, err := link.ReadMemberSettings()
	labtest.Must(t, err)
	if now := (settings{learns, members[m.port.Index].GroupForwarding}); now != want {
		t.Errorf("the settings are %+v, want %+v", now, want)
	}
}
