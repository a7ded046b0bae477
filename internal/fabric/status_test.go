package fabric_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/fabric"
)

// TestEntries tells ports of guests from those of the host.
func TestEntries(t *testing.T) {
	each(t, attachments, func(t *testing.T, s *stage) {
		f := start(t, network(s.attach))
		f.expectPort(t, s.port)
		expectEntries(t, f, "", s.port, fmt.Sprintf("lab %d false", fabric.GuestPort))
		expectEntries(t, f, "other", s.port)
		if s.attachment == onBridge {
			expectEntries(t, f, "", bridgeName, fmt.Sprintf("lab %d false", fabric.Host))
		}
	})
}

// TestVLANEntries wants all networks that have a port, and the host's device in its own.
func TestVLANEntries(t *testing.T) {
	buildVLANs(t)
	own := addHostIn(t, 10)
	f := start(t, hostsIn(t, networks+ten+twenty))
	const inTen, inTwenty = "ten %d true", "twenty %d true"
	expectEntries(t, f, "", uplink, fmt.Sprintf(inTen, fabric.Uplink), fmt.Sprintf(inTwenty, fabric.Uplink))
	expectEntries(t, f, "twenty", uplink, fmt.Sprintf(inTwenty, fabric.Uplink))
	expectEntries(t, f, "", own, fmt.Sprintf(inTen, fabric.Host))
}

// expectEntries compares the entries of a port: network, kind, and whether a tag is as it should be.
func expectEntries(t *testing.T, f *running, network, port string, want ...string) {
	t.Helper()
	var got []string
	for _, e := range f.Entries(network, port) {
		if e.In.Port != port {
			t.Errorf("an entry of %s for %s", e.In.Port, port)
		}
		got = append(got, fmt.Sprintf("%s %d %v", e.Network.Name, e.Kind, e.In.Trunk))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s has %q; want %q", port, got, want)
	}
}
