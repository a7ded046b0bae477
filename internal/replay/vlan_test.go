package replay

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/gopacket/gopacket/layers"
)

// TestVLAN replays a capture of an uplink, with its tags, for a network that is one VLAN of a bridge: the tag of that VLAN
// is no mistake, and frames of other VLANs are none of the network's. Without a VLAN every tag is unexpected.
func TestVLAN(t *testing.T) {
	ask := request(appMAC, "10.239.0.101", "10.239.0.1")
	answer := reply(gatewayMAC, "10.239.0.1", appMAC, "10.239.0.101")
	capture := pcap(t, layers.LinkTypeEthernet, each(
		tagged(10, ask), tagged(10, answer), // in the network
		ask, answer, // on a port of the VLAN
		tagged(20, ask), // of another network
		tagged(10, tagged(10, ask)), tagged(0, ask),
	))
	tests := []struct {
		attach   string
		arp      int
		other    int
		verdicts string
		same     int
	}{
		{"{bridge: br0, vlan: 10}", 6, 1, "[{drop unexpected-vlan 2} {reply answered 2}]", 2},
		{"{bridge: br0}", 7, 0, "[{drop unexpected-vlan 4} {reply answered 1}]", 1},
	}
	for _, tt := range tests {
		network := load(t, strings.Replace(labConfig, "{bridge: br0}", tt.attach, 1))
		s, err := Run(context.Background(), bytes.NewReader(capture), network, nil)
		labtest.Must(t, err)
		if got := fmt.Sprint(s.Verdicts); s.Frames.ARP != tt.arp || s.Frames.OtherVLAN != tt.other || got != tt.verdicts ||
			s.Answers.Same != tt.same || (len(s.Warnings) == 1) != (tt.other > 0) {
			t.Errorf("%s: %+v %s %+v %q", tt.attach, s.Frames, got, s.Answers, s.Warnings)
		}
	}
}
