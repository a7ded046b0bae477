package bpf

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/decisiontest"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// recordedFrames are the files with the frames of responder's tables and fuzz targets' seeds, and with the hostile frames of the
// fabric's tests. The tests there write them with -update.
var recordedFrames = []string{"../../../responder/testdata/frames.jsonl", "../../fabric/testdata/frames.jsonl"}

// TestDecidesRecordedFramesAsResponder runs the program and responder on the frames that other tests have recorded, on each in
// every setting, and checks that the program handles many. No tag is removed from a frame here, as the kernel does before.
func TestDecidesRecordedFramesAsResponder(t *testing.T) {
	const least = 500
	addPorts(t, morePorts...)
	c := newComparison(t)
	handled, total, leftOut := map[responder.Reason]int{}, 0, map[string]int{}
	for _, path := range recordedFrames {
		for i, n := range decisiontest.Read(t, path) {
			c.begin(fmt.Sprint(path, i), n.Registry, n.Policy)
			c.network.Guests = slices.Concat(guestPorts, morePorts)
			for _, recorded := range n.Cases {
				if why := whyLeftOut(recorded); why != "" {
					leftOut[why]++
					continue
				}
				for _, s := range settings {
					in := c.enter(t, s, recorded)
					if reason, isHandled := c.check(t, in, recorded.Frame); isHandled {
						handled[reason]++
						total++
					}
				}
			}
		}
	}
	t.Log("left out:", leftOut)
	expectEach(t, handled, responder.MisplacedChecksum) // which no bytes show
	if total < least {
		t.Errorf("the program has handled %d frames; want %d at least", total, least)
	}
}

// A setting is the kind of port by which a frame reaches the program, and what the fabric knows then.
type setting struct {
	isGuarded   bool // the allow-list is in force, too
	onInterface bool // not on a bridge
	asksSidecar bool // on the interface of a sidecar, whose address it asks for
	ofSidecar   bool // from the guest of a sidecar
	sender      location
	receiver    location
}

// A location is that of a MAC, as the fabric knows it.
type location int

const (
	unknown location = iota
	here             // at the port where the frame comes in
	elsewhere
)

var settings = []setting{
	{isGuarded: true, sender: here, receiver: elsewhere},
	{isGuarded: true, sender: here, receiver: here},
	{isGuarded: true, sender: elsewhere, receiver: elsewhere},
	{isGuarded: true},
	{},
	{onInterface: true},
	{asksSidecar: true},
	{ofSidecar: true},
}

// unnamed is the port of the frames whose test names none.
const unnamed = "vnet0"

// morePorts are the other guest ports of the frames.
var morePorts = []string{unnamed, "vnet3", "vnet4", "vnet9", "vnet33"}

// whyLeftOut returns why a frame cannot reach the program, or not in a test. It returns "" if it can.
func whyLeftOut(c decisiontest.Case) string {
	switch in := c.In; {
	case in.Kind != responder.GuestPort:
		return "the program is at guest ports only"
	case in.Trunk:
		return "only uplinks and the host's bridge are trunks"
	case in.CarriesHost:
		return "the host sends by a TAP in a bridge, where there is no program"
	case len(c.Frame) < shortest(c.Frame) || len(c.Frame) > longest:
		return "the kernel does not test programs with so few or so many bytes"
	}
	return ""
}

// longest is less than a page, of which the kernel needs some bytes itself (bpf_test_init).
const longest = 3 << 10

// shortest returns how many bytes of a frame the kernel needs, by its EtherType (bpf_prog_test_run_skb).
func shortest(frame []byte) int {
	const header, ipv4, ipv6 = 14, 20, 40
	if len(frame) < header {
		return header
	}
	switch binary.BigEndian.Uint16(frame[12:]) {
	case 0x0800:
		return header + ipv4
	case 0x86dd:
		return header + ipv6
	}
	return header
}

// enter brings the program to a setting, and returns how the frame enters there.
func (c *comparison) enter(t *testing.T, s setting, recorded decisiontest.Case) responder.Ingress {
	t.Helper()
	in := recorded.In
	in.AllowList, in.Source, in.Owner = s.isGuarded, registry.MAC{}, registry.MAC{}
	if in.Port == "" {
		in.Port = unnamed
	}
	c.sidecarMAC = registry.MAC{}
	switch {
	case s.onInterface:
		in.Source = c.macOf(in.Port)
	case s.asksSidecar:
		asked, _ := c.network.Registry.Lookup(responder.SenderIdentityOf(recorded.Frame).Target)
		c.sidecarMAC, in.Owner = asked.MAC, asked.MAC
	case s.ofSidecar:
		c.sidecarMAC, in.Kind = registry.MAC(recorded.Frame[6:12]), responder.Host
	}
	n := &c.network
	n.AllowList, n.Host, n.RateLimit = datapath.AllowAll, nil, 0
	if s.isGuarded {
		n.AllowList = datapath.Enforce
	}
	if in.HostMAC != (registry.MAC{}) {
		n.Host = []registry.MAC{in.HostMAC}
	}
	if in.RateLimited {
		n.RateLimit = 1
	}
	n.Locations = map[registry.MAC]datapath.Location{}
	c.locate(registry.MAC(recorded.Frame[:6]), s.receiver, in)
	c.locate(registry.MAC(recorded.Frame[6:12]), s.sender, in)
	c.write(t, s.onInterface)
	if in.RateLimited {
		c.useUp(t, in.Port)
	}
	return in
}

// locate locates a MAC, if its bindings allow that.
func (c *comparison) locate(mac registry.MAC, at location, in responder.Ingress) {
	for _, port := range slices.Concat(c.network.Guests, c.network.Uplinks) {
		if at != unknown && (at == here) == (port == in.Port) && c.network.Registry.MaySend(mac, port) {
			c.network.Locations[mac] = datapath.Location{Port: port}
			return
		}
	}
}

// useUp uses up the rate limit of a port.
func (c *comparison) useUp(t *testing.T, port string) {
	t.Helper()
	l, _ := c.links.Find(port)
	labtest.Must(t, c.program.Limits.Put(uint32(l.Index), guardLimit{Arp: math.MaxUint64, Own: math.MaxUint64}))
}
