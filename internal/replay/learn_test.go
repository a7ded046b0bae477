package replay

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/gopacket/gopacket/layers"
)

// loadLearned writes what was learned to a file, and loads it as the configuration that it is to be.
func loadLearned(t testing.TB, path string, l *Learned) (text string, registry *responder.Registry) {
	t.Helper()
	var out bytes.Buffer
	must(t, l.Write(&out))
	n := loadAt(t, path, out.String())
	if n.Name != "learned" || n.Attach.Bridge != "br0" {
		t.Errorf("a network %s on %s", n.Name, n.Attach)
	}
	return out.String(), n.Registry
}

func TestLearn(t *testing.T) {
	const app, db = "10.239.0.101", "10.239.0.102"
	foreign := reply(dbMAC, "10.239.0.8", appMAC, app)
	copy(foreign[6:12], parseMAC(strangerMAC)) // from a router, say
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
			must(t, err)
			text, registry := loadLearned(t, filepath.Join(t.TempDir(), "learned.yaml"), l)
			checkGolden(t, "learned-"+tt.name+".yaml", text)
			if registry.Len() != tt.bindings {
				t.Errorf("%d bindings; want %d", registry.Len(), tt.bindings)
			}
		})
	}
}

// TestLearnUncommented decides a conflict, as the comments say how.
func TestLearnUncommented(t *testing.T) {
	learned, err := os.ReadFile(filepath.Join("testdata", "learned-conflicts.yaml"))
	must(t, err)
	n := load(t, strings.Replace(string(learned), "# 10.239.0.101: \""+dbMAC, "10.239.0.101: \""+dbMAC, 1))
	bound, _ := n.Registry.Lookup(netip.MustParseAddr("10.239.0.101"))
	if n.Registry.Len() != 1 || bound.MAC.String() != dbMAC {
		t.Errorf("%d bindings, %v", n.Registry.Len(), bound)
	}
}

func TestLearnNothing(t *testing.T) {
	capture := pcap(t, layers.LinkTypeEthernet, each(probe(appMAC, "10.239.0.101")))
	_, err := Learn(context.Background(), bytes.NewReader(capture))
	if err == nil || err.Error() != "no ARP in it shows who has which address" {
		t.Error(err)
	}
}

// TestLearnBounds learns more than there is room for. What it writes loads nevertheless.
func TestLearnBounds(t *testing.T) {
	l := &Learned{addresses: map[netip.Addr][]claimant{}}
	claim := func(i int, last byte) {
		addr := netip.AddrFrom4([4]byte{200, 100 + byte(i>>16), byte(i >> 8), byte(i)})
		l.take(responder.Claim{MAC: responder.MAC{0x02, 0xff, 0xff, 0xff, 0xff, last}, Sender: addr}, start)
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
