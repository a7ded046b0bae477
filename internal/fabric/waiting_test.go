package fabric_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/vishvananda/netlink"
)

// TestNetworkWaits adds the bridge of a second network, and the interface of a third, after the start. The first
// network is guarded and answered all the time, and each of the others when its bridge or interface is there.
func TestNetworkWaits(t *testing.T) {
	s := build(t, onBridge)
	const others = "  late:\n    attach: {bridge: br7}\n    registry: {10.0.0.1: \"02:00:00:00:00:01\", " +
		"10.239.0.101: \"02:00:06:de:54:a8\", 10.239.0.105: \"02:00:0a:de:54:a8\"}\n" +
		"  later:\n    attach: {interface: eth1}\n    registry: {10.0.0.1: \"02:00:00:00:00:01\"}\n"
	f := start(t, network(s.attach)+others)
	want := map[string]string{
		"late":  "there is no bridge br7; make it first: ip link add br7 type bridge && ip link set br7 up",
		"later": "there is no interface eth1; `ip link` lists the interfaces",
	}
	expectWaiting(t, f, want)
	s.app.ask(t)
	s.expectSilence(t, s.db, s.idle)

	plugIn(t)
	delete(want, "later")
	expectWaiting(t, f, want)

	addBridge(t, "br7")
	expectWaiting(t, f, nil)
	guest := addGuestIn(t, "br7", 5, "late")
	f.expectPort(t, guest.Port)
	guest.send(t, guest.request(appAddr).Frame())
	guest.expectAnswer(t, 1, appAddr, appMAC)
	s.app.ask(t)
	s.expectSilence(t, s.db, s.idle)
}

func expectWaiting(t *testing.T, f *running, want map[string]string) {
	t.Helper()
	labtest.Eventually(t, "the others have started, and these wait", func() bool {
		waiting := f.Waiting()
		if len(waiting) != len(want) {
			return false
		}
		for name, reason := range waiting {
			if reason != want[name] {
				t.Errorf("%s waits as %s; want: %s", name, reason, want[name])
			}
		}
		return true
	})
}

// TestReloadToWaiting checks that a configuration whose second network has to wait takes effect for the first one.
func TestReloadToWaiting(t *testing.T) {
	s := build(t, onBridge)
	f := start(t, uninformed(s.attach))
	next := strings.Replace(uninformed(s.attach), gatewayMAC.String(), "02:00:0b:de:54:a8", 1) +
		"  other:\n    attach: {interface: eth7}\n    registry: {10.0.0.1: \"02:00:00:00:00:01\"}\n"
	labtest.Must(t, f.Reload(context.Background(), loadConfig(t, next)))
	s.app.send(t, s.app.request(gatewayAddr).Frame())
	labtest.Eventually(t, "the gateway's new MAC is the answer", func() bool {
		heard := s.app.receivedARP()
		return len(heard) == 1 && strings.Contains(responder.Describe(heard[0]), "is-at 02:00:0b:de:54:a8")
	})
	expectWaiting(t, f, map[string]string{"other": "there is no interface eth7; `ip link` lists the interfaces"})
	s.expectSilence(t, s.db, s.idle)
}

// TestReloadToAMissingBridge checks that a configuration is refused in which a network that guards its guests would have to
// wait.
func TestReloadToAMissingBridge(t *testing.T) {
	for name, attach := range map[string]string{
		"a misspelt bridge": "{bridge: brO}", "a VLAN of a bridge that does not filter": "{bridge: br0, vlan: 10}", "an interface": "{interface: eth7}",
	} {
		t.Run(name, func(t *testing.T) {
			s := build(t, onBridge)
			f := start(t, network(s.attach))
			err := f.Reload(context.Background(), loadConfig(t, network(attach)))
			if err == nil || !strings.HasPrefix(err.Error(), "network lab: ") {
				t.Errorf("it is in force: %v", err)
			}
			s.app.ask(t)
			s.expectSilence(t, s.db, s.idle)
		})
	}
}

// TestGuardOfAnEarlierFabric starts a fabric while the bridge has another name than when the last fabric left its guard.
func TestGuardOfAnEarlierFabric(t *testing.T) {
	s := build(t, onBridge)
	configuration := network(s.attach, "policy: {on_stop: hold}")
	start(t, configuration).stop()
	rename(t, bridgeName, "lan")
	t.Cleanup(func() { lab.DeleteLink("lan") })
	expectGuarded := func() {
		t.Helper()
		s.app.send(t, s.app.request(dbAddr).Frame())
		sendMark(t, s.app, s.db, 1)
		s.expectSilence(t, s.db, s.idle)
	}
	f := start(t, configuration)
	expectWaiting(t, f, map[string]string{"lab": "there is no bridge br0; make it first: ip link add br0 type bridge && ip link set br0 up"})
	expectGuarded()
	f.stop()
	expectGuarded()
	start(t, configuration)
	rename(t, "lan", bridgeName)
	s.app.ask(t)
	s.expectSilence(t, s.db, s.idle)
}

// TestBridgeNameIsTaken renames a bridge, and gives its name to an interface that is no bridge, and then to another bridge
// for a time.
func TestBridgeNameIsTaken(t *testing.T) {
	s := build(t, onBridge)
	f := start(t, network(s.attach))
	rename(t, bridgeName, "lan")
	t.Cleanup(func() { lab.DeleteLink("lan") })
	expectGuarded := func() {
		t.Helper()
		f.expectPort(t, s.app.Port)
		s.app.ask(t)
		s.expectSilence(t, s.db, s.idle)
	}
	addVeth(t, bridgeName)
	expectGuarded()
	labtest.Must(t, lab.DeleteLink(bridgeName))
	expectGuarded()

	labtest.Must(t, lab.AddBridge(bridgeName))
	late := addGuestIn(t, bridgeName, 4, "late")
	f.expectPort(t, late.Port)
	late.ask(t)
	labtest.Must(t, lab.DeleteLink(bridgeName))
	expectGuarded()
}

// TestBridgeOfTwoNetworks gives a bridge the name of another network's bridge, and then its own name again.
func TestBridgeOfTwoNetworks(t *testing.T) {
	s := build(t, onBridge)
	f := start(t, network(s.attach)+"  other:\n    attach: {bridge: br1}\n    registry: {10.0.0.1: \"02:00:00:00:00:01\"}\n")
	rename(t, bridgeName, "br1")
	t.Cleanup(func() { lab.DeleteLink("br1") })
	expectWaiting(t, f, nil)
	f.settle(t)
	refused := f.counts(s.app.Port)[responder.UnregisteredSender]
	s.app.send(t, s.app.request(dbAddr).Frame())
	f.expectCounts(t, s.app.Port, counts{responder.UnregisteredSender: refused + 1}, "asking in the other network")
	rename(t, "br1", bridgeName)
	f.settle(t)
	s.app.ask(t)
	s.expectSilence(t, s.db, s.idle)
}

// TestWaitingConcernsNoOther checks that a network that cannot start, although its bridge is there, neither refuses a
// configuration nor delays the others, and starts once it can.
func TestWaitingConcernsNoOther(t *testing.T) {
	labtest.NeedTUN(t)
	s := build(t, onBridge)
	addVeth(t, "tap7")
	configuration := uninformed(s.attach)
	const other = "  other:\n    attach: {tap: {name: tap7, bridge: br7}}\n    registry: {10.0.0.1: \"02:00:00:00:00:01\"}\n"
	f := start(t, configuration+other)
	addBridge(t, "br7")
	labtest.Eventually(t, "it says why it waits", func() bool { return strings.Contains(f.Waiting()["other"], "not a TAP") })
	next := strings.Replace(configuration, gatewayMAC.String(), "02:00:0b:de:54:a8", 1)
	labtest.Must(t, f.Reload(context.Background(), loadConfig(t, next+other)))
	s.app.send(t, s.app.request(gatewayAddr).Frame())
	labtest.Eventually(t, "the gateway's new MAC is the answer", func() bool { return len(s.app.receivedARP()) == 1 })
	labtest.Must(t, lab.DeleteLink("tap7"))
	expectWaiting(t, f, nil)
}

// TestInterfaceJoinsABridge checks that a network leaves an interface to the network of the bridge that it joins.
func TestInterfaceJoinsABridge(t *testing.T) {
	s := build(t, onBridge)
	late := addGuestOutside(t, 4, "late")
	f := start(t, network(s.attach)+"  other:\n    attach: {interface: vnet4}\n    registry: {10.0.0.1: \"02:00:00:00:00:01\"}\n")
	labtest.Must(t, lab.SetMaster(late.Port, bridgeName))
	labtest.Eventually(t, "it says what is wrong", func() bool { return len(f.Findings()["other"]) == 1 })
	late.ask(t)
	s.expectSilence(t, s.db, s.idle)
}

// TestRenamedBridge checks that a bridge that is renamed stays guarded and answered, even for a guest that joins it
// afterwards, and with a TAP as well.
func TestRenamedBridge(t *testing.T) {
	each(t, guarded, func(t *testing.T, s *stage) {
		f := start(t, network(s.attach))
		s.app.ask(t)
		rename(t, bridgeName, "lan")
		t.Cleanup(func() { lab.DeleteLink("lan") })
		const renamed = "the bridge br0 has been renamed to lan; write the new name into the configuration, " +
			"or arpfabric will not find it at the next start"
		labtest.Eventually(t, "it says so", func() bool { return slices.Equal(f.Findings()["lab"], []string{renamed}) })
		late := addGuestIn(t, "lan", 4, "late")
		if s.attachment == onBridge {
			f.expectPort(t, late.Port)
		}
		late.ask(t)
		s.app.ask(t)
		s.expectSilence(t, s.db, s.idle)
		rename(t, "lan", bridgeName)
		s.app.ask(t)
		s.expectSilence(t, s.db, s.idle)
	})
}

// addVeth makes a pair of interfaces.
func addVeth(t *testing.T, name string) {
	t.Helper()
	labtest.Must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "-peer"}))
	t.Cleanup(func() { lab.DeleteLink(name + "-peer") })
}

// rename renames an interface. Kernels before 6.2 rename only one that is down.
func rename(t *testing.T, name, to string) {
	t.Helper()
	l, err := netlink.LinkByName(name)
	labtest.Must(t, err)
	labtest.Must(t, netlink.LinkSetDown(l))
	labtest.Must(t, netlink.LinkSetName(l, to))
	labtest.Must(t, netlink.LinkSetUp(l))
}
