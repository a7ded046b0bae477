package fabric_test

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath/nft"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
)

// TestStopLeavesNothing checks that goroutines, descriptors, interfaces and rules are the same as before.
func TestStopLeavesNothing(t *testing.T) {
	each(t, attachments, func(t *testing.T, s *stage) {
		goroutines := goleak.IgnoreCurrent()
		descriptors, links := listDescriptors(t), listLinks(t)
		fabric := start(t, network(s.attach))
		s.app.ask(t)
		fabric.stop()
		goleak.VerifyNone(t, goroutines)
		if now := listDescriptors(t); !slices.Equal(now, descriptors) {
			t.Errorf("descriptors before:\n%q\nafter:\n%q", descriptors, now)
		}
		labtest.Eventually(t, "the interfaces are as before", func() bool { return slices.Equal(listLinks(t), links) })
		if guardIsThere(t) {
			t.Error("the guard is still there")
		}
	})
}

func TestStopHoldsTheGuard(t *testing.T) {
	each(t, guarded, func(t *testing.T, s *stage) {
		t.Cleanup(removeGuard)
		configuration := network(s.attach, "policy: {on_stop: hold}")
		fabric := start(t, configuration)
		s.app.sendARPRepeatedly(t)
		s.app.ask(t)
		fabric.stop()
		if !guardIsThere(t) {
			t.Error("the guard is gone")
		}
		s.expectSilenceAmongSenders(t, s.app)

		start(t, configuration) // which takes the guard over
		s.app.ask(t)
		s.expectSilenceAmongSenders(t, s.app)
	})
}

// TestStartWithoutAGuard starts a fabric without a guard after one with a guard was killed. The old tables are removed.
func TestStartWithoutAGuard(t *testing.T) {
	const hold = "    policy: {on_stop: hold}\n"
	s, sidecar := buildSidecar(t)
	t.Cleanup(removeGuard)
	t.Cleanup(func() { nft.NewSidecarTable(wire.Group, 0).Remove() })
	start(t, sidecar+hold+secondNetwork("{bridge: br0}")+hold).stop()
	if !guardIsThere(t) || !sidecarGuardIsThere(t) {
		t.Fatal("no guard is left")
	}
	start(t, network("{interface: eth1}"))
	if guardIsThere(t) || sidecarGuardIsThere(t) {
		t.Error("the guard is still there")
	}
	flooded := s.app.request(gatewayAddr).Frame()
	repeat(t, "the bridge is a plain one again", func() { s.app.Send(flooded) }, func() bool { return s.idle.hasReceived(flooded) })
	s.app.ask(t)
}

// TestStopHoldsOneOfTwo checks that of two networks, only the one that is configured so stays guarded.
func TestStopHoldsOneOfTwo(t *testing.T) {
	t.Cleanup(removeGuard)
	s := build(t, onBridge)
	addBridge(t, "br1")
	free := addGuestIn(t, "br1", 4, "free")
	listener := addGuestIn(t, "br1", 5, "listener")
	fabric := start(t, network(s.attach, "policy: {on_stop: hold}")+secondNetwork("{bridge: br1}"))
	s.app.ask(t)
	free.ask(t)
	fabric.stop()
	s.app.send(t, s.app.request(gatewayAddr).Frame())
	s.expectSilence(t, s.db, s.idle)
	heard := free.request(gatewayAddr).Frame()
	free.send(t, heard)
	labtest.Eventually(t, "the other bridge is a plain one again", func() bool { return listener.hasReceived(heard) })
}

// TestRefusedStartChangesNothing checks that a fabric that cannot start does not change interfaces and rules.
func TestRefusedStartChangesNothing(t *testing.T) {
	onTAP := network("{tap: {name: arp0, bridge: br0}}")
	tests := []struct{ name, configuration, want string }{
		{"a TAP's name is taken", network("{tap: {name: vnet1, bridge: br0}}"),
			"vnet1 exists and is not a TAP"},
		{"the second TAP's name is taken", onTAP + secondNetwork("{tap: {name: vnet1}}"),
			"vnet1 exists and is not a TAP"},
	}
	s := build(t, onBridge)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			labtest.NeedTUN(t)
			links := listLinks(t)
			expectRefusal(t, tt.configuration, tt.want)
			if guardIsThere(t) {
				t.Error("it left a guard")
			}
			labtest.Eventually(t, "the interfaces are as before", func() bool { return slices.Equal(listLinks(t), links) })
		})
	}
	t.Run("another fabric runs", func(t *testing.T) {
		start(t, network(s.attach))
		expectRefusal(t, network(s.attach), "another fabric runs in this network namespace (process")
		s.app.ask(t)
		s.expectSilence(t, s.db, s.idle)
	})
	t.Run("the NFLOG group is another's", func(t *testing.T) {
		labtest.NeedTUN(t)
		other, err := wire.OpenNFLOG()
		labtest.Must(t, err)
		defer other.Close()
		addBridge(t, "br1")
		links := listLinks(t)
		expectRefusal(t, onTAP+secondNetwork("{bridge: br1}"), "NFLOG group 16722 is in use")
		if guardIsThere(t) {
			t.Error("it left a guard")
		}
		labtest.Eventually(t, "the interfaces are as before", func() bool { return slices.Equal(listLinks(t), links) })
	})
}

func expectRefusal(t *testing.T, configuration, want string) {
	t.Helper()
	f := fabric.New(loadConfig(t, configuration), slog.New(slog.NewTextHandler(t.Output(), nil)), newDatapath(t))
	ctx, cancel := context.WithTimeout(context.Background(), labtest.Patience)
	defer cancel()
	err := f.Run(ctx)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Run: %v; want: %s", err, want)
	}
}

func listDescriptors(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	labtest.Must(t, err)
	var list []string
	for _, e := range entries {
		// The descriptor that read the folder is closed by now, and has no target.
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			list = append(list, e.Name()+" "+target)
		}
	}
	return list
}

func listLinks(t *testing.T) []string {
	t.Helper()
	links, err := netlink.LinkList()
	labtest.Must(t, err)
	var names []string
	for _, l := range links {
		names = append(names, l.Attrs().Name)
	}
	return names
}

func guardIsThere(t *testing.T) bool {
	t.Helper()
	return tableIsThere(t, nftables.TableFamilyBridge)
}

func tableIsThere(t *testing.T, family nftables.TableFamily) bool {
	t.Helper()
	c, err := nftables.New()
	labtest.Must(t, err)
	tables, err := c.ListTablesOfFamily(family)
	labtest.Must(t, err)
	return slices.ContainsFunc(tables, func(table *nftables.Table) bool { return table.Name == nft.TableName })
}

func removeGuard() { nft.NewBridgeTable(wire.Group).Remove() }
