package replay

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/gopacket/gopacket/layers"
)

// loadLearned writes the learned configuration to a file, and loads it.
func loadLearned(t testing.TB, path string, l *Learned) (text string, registry *registry.Registry) {
	t.Helper()
	var out bytes.Buffer
	labtest.Must(t, l.Write(&out))
	n := loadAt(t, path, out.String())
	if n.Name != "learned" || n.Attach.Bridge != "br0" {
		t.Errorf("a network %s on %s", n.Name, n.Attach)
	}
	return out.String(), n.Registry
}

func TestLearn(t *testing.T) {
	const app, db = "10.239.0.101", "10.239.0.102"
	foreign := reply(dbMAC, "10.239.0.8", appMAC, app)
	copy(foreign[6:12], parseMAC(strangerMAC)) // such as from a router
	tests := []struct {
		name     string
		frames   []taken
		bindings int
	}{
		{"seed", seed(), 3},
		{"mixed", append(mixed(),
			taken{after: time.Minute, frame: request(strangerMAC, "0.1.2.3", db)},
			taken{after: time.Minute, frame: reply(config.DenyMAC.String(), "10.239.0.7", appMAC, "0.0.0.0")},
			taken{after: time.Minute, frame: probe(appMAC, "10.239.0.7")},
			taken{after: time.Minute, frame: request(appMAC, "127.0.0.1", db)},
			taken{after: time.Minute, frame: request("03:00:00:00:00:01", "10.239.0.7", db)},
			taken{after: time.Minute, frame: foreign},
		), 4},
		{"conflicts", each(request(appMAC, app, db), request(dbMAC, app, db), request(appMAC, app, db)), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := Learn(context.Background(), bytes.NewReader(pcap(t, layers.LinkTypeEthernet, tt.frames)))
			labtest.Must(t, err)
			text, registry := loadLearned(t, filepath.Join(t.TempDir(), "learned.yaml"), l)
			checkGolden(t, "learned-"+tt.name+".yaml", text)
			if registry.Len() != tt.bindings {
				t.Errorf("%d bindings; want %d", registry.Len(), tt.bindings)
			}
		})
	}
}

// TestLearnUncommented resolves a conflict as the comments describe.
func TestLearnUncommented(t *testing.T) {
	learned, err := os.ReadFile(filepath.Join("testdata", "learned-conflicts.yaml"))
	labtest.Must(t, err)
	n := load(t, strings.Replace(string(learned), "# 10.239.0.101: \""+dbMAC, "10.239.0.101: \""+dbMAC, 1))
	bound, _ := n.Registry.Lookup(netip.MustParseAddr("10.239.0.101"))
	if n.Registry.Len() != 1 || bound.MAC.String() != dbMAC {
		t.Errorf("%d bindings, %v", n.Registry.Len(), bound)
	}
}

// TestLearnNothing says why nothing is learned.
func TestLearnNothing(t *testing.T) {
	ask := request(appMAC, "10.239.0.101", "10.239.0.1")
	mixed := []taken{
		{frame: probe(appMAC, "10.239.0.101")}, {frame: tagged(10, ask)}, {frame: tagged(10, ask)}, {frame: ask, lost: 10},
		{frame: nil}, {frame: append(bytes.Clone(ask[:12]), 8, 0, 0x45)}, {frame: ask[:30]},
	}
	for want, capture := range map[string][]byte{
		"its frames: 1 from 0.0.0.0 (probes)": pcap(t, layers.LinkTypeEthernet, mixed[:1]),
		"its frames: 2 not ARP, 1 malformed, 2 unexpected-vlan, 1 from 0.0.0.0 (probes), 1 truncated in the capture": pcap(t,
			layers.LinkTypeEthernet, mixed),
		"it has no frames": pcap(t, layers.LinkTypeEthernet, nil),
	} {
		_, err := Learn(context.Background(), bytes.NewReader(capture))
		if err == nil || err.Error() != "no ARP frame in it shows a binding ("+want+")" {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestLearnWithoutTime learns from the simple packet blocks of pcapng, which have no time: also from frames that the
// capture truncated behind the ARP packet, and with a wrong length.
func TestLearnWithoutTime(t *testing.T) {
	ask := func(mac string) []byte { return append(request(mac, "10.239.0.101", "10.239.0.1"), 0, 0) } // 44 bytes
	capture := slices.Concat(ngSection, ngEthernet,
		block(simplePacket, words(42), ask(appMAC)),
		block(simplePacket, words(60), ask(appMAC)),
		block(simplePacket, words(0xffff_ffff), ask(dbMAC)),
		block(simplePacket, words(0)),
		block(simplePacket, words(12), ask(strangerMAC)))
	learned, err := Learn(context.Background(), bytes.NewReader(capture))
	labtest.Must(t, err)
	text, _ := loadLearned(t, filepath.Join(t.TempDir(), "learned.yaml"), learned)
	const want = `      # 2 MACs use 10.239.0.101. Keep one of these lines, without its "# ":
      # 10.239.0.101: "02:00:06:de:54:a8" # 2 frames
      # 10.239.0.101: "02:00:07:de:54:a8" # 1 frame
`
	if !strings.Contains(text, want) {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	_, err = Learn(context.Background(), bytes.NewReader(slices.Concat(ngSection, ngEthernet, block(simplePacket))))
	if err == nil || !strings.Contains(err.Error(), "lengths contradict each other") {
		t.Error(err)
	}
}

// TestLearnBounds learns more than the limits, and expects the configuration to load.
func TestLearnBounds(t *testing.T) {
	l := &Learned{addresses: map[netip.Addr][]claimant{}}
	claim := func(i int, last byte) {
		addr := netip.AddrFrom4([4]byte{200, 100 + byte(i>>16), byte(i >> 8), byte(i)})
		l.add(responder.SenderIdentity{MAC: registry.MAC{0x02, 0xff, 0xff, 0xff, 0xff, last}, Sender: addr}, start)
	}
	for i := range maxAddresses + 2 {
		claim(i, 1)
	}
	for i := range maxConflicts + 5 {
		for mac := range maxClaimants + 1 {
			claim(i, byte(1+mac))
		}
	}
	text, registry := loadLearned(t, filepath.Join(t.TempDir(), "learned.yaml"), l)
	for _, line := range []string{
		fmt.Sprintf("# warning: %d frames left out: more than 262144 addresses, or than 8 MACs of one address\n",
			2+maxConflicts+5),
		"      # and 5 more addresses with several MACs\n",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q", line)
		}
	}
	if want := maxAddresses - maxConflicts - 5; registry.Len() != want {
		t.Errorf("%d bindings; want %d", registry.Len(), want)
	}
}
