package fabric_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/mdlayher/ethernet"
)

// TestHostARPBehindTags makes the host send ARP behind VLAN tags out of its bridge. No guest may receive it, because
// Linux removes any number of tags with VLAN ID 0 and finds the ARP. In a frame from a packet socket, Linux takes up to
// eight tags for a part of the link-layer header, so the guard also has to look for tags from the start of the frame
// on.
func TestHostARPBehindTags(t *testing.T) {
	s := build(t, onBridge)
	start(t, withHost(t, network(s.attach)))
	host, err := wire.OpenPacket(0, 0)
	labtest.Must(t, err)
	defer host.Close()
	announcement := vary(s.app.request(dbAddr), target(appAddr))
	for _, n := range []int{0, 1, 2, 3, 4, 5, 8, 9, 12} {
		t.Run(fmt.Sprintf("%d tags", n), func(t *testing.T) {
			hidden := tagged(announcement, slices.Repeat([]uint32{qTag}, n)...)
			mark := slices.Concat(ethernet.Broadcast, s.app.MAC, []byte{0x88, 0xb5, byte(n)}, make([]byte, 45))
			for _, frame := range [][]byte{hidden, mark} {
				sent, err := host.Write([]wire.Frame{{Port: linkIndex(bridgeName), Data: frame}})
				if sent != 1 || err != nil {
					t.Fatalf("sent %d frames: %v", sent, err)
				}
			}
			labtest.Eventually(t, "the frame that the host sends afterwards arrives", func() bool { return s.db.hasReceived(mark) })
			if s.db.hasReceived(hidden) {
				t.Errorf("db received %x", hidden)
			}
		})
	}
}
