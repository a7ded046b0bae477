package fabric_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/responder"
)

// TestIngresses checks the ingresses of guest ports and of the host.
func TestIngresses(t *testing.T) {
	each(t, attachments, func(t *testing.T, s *stage) {
		f := start(t, network(s.attach))
		f.expectPort(t, s.port)
		expectIngresses(t, f, "", s.port, fmt.Sprintf("lab %d false", responder.GuestPort))
		expectIngresses(t, f, "other", s.port)
		if s.attachment == onBridge {
			expectIngresses(t, f, "", bridgeName, fmt.Sprintf("lab %d false", responder.Host))
		}
	})
}

// TestVLANIngresses checks that a port has an ingress in each of its networks, and the host's device only in its own.
func TestVLANIngresses(t *testing.T) {
	buildVLANs(t)
	own := addHostIn(t, 10)
	f := start(t, hostsIn(t, networks+ten+twenty))
	const inTen, inTwenty = "ten %d true", "twenty %d true"
	expectIngresses(t, f, "", uplink, fmt.Sprintf(inTen, responder.Uplink), fmt.Sprintf(inTwenty, responder.Uplink))
	expectIngresses(t, f, "twenty", uplink, fmt.Sprintf(inTwenty, responder.Uplink))
	expectIngresses(t, f, "", own, fmt.Sprintf(inTen, responder.Host))
}

// expectIngresses compares the ingresses of a port: network, kind, and the expected tag.
func expectIngresses(t *testing.T, f *running, network, port string, want ...string) {
	t.Helper()
	var got []string
	for _, in := range f.Ingresses(network, port) {
		if in.Port != port {
			t.Errorf("an ingress of %s for %s", in.Port, port)
		}
		got = append(got, fmt.Sprintf("%s %d %v", in.Network.Name, in.Kind, in.Trunk))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s has %q; want %q", port, got, want)
	}
}
