package fabric_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/google/nftables"
)

// TestGuardIsReinstalled flushes the ruleset, and changes it by hand, while app sends requests all the time.
func TestGuardIsReinstalled(t *testing.T) {
	labtest.NeedProgram(t, "nft")
	each(t, guarded, func(t *testing.T, s *stage) {
		start(t, network(s.attach))
		stop := labtest.SendRepeatedly(s.app.Capture, s.app.request(dbAddr).Frame())
		for _, damage := range []string{
			"flush ruleset",
			"delete table bridge arpfabric",
			"insert rule bridge arpfabric prerouting accept",
			"add table bridge arpfabric { flags dormant; }",
		} {
			out, err := exec.Command("nft", damage).CombinedOutput()
			if err != nil {
				t.Fatalf("nft %s: %v: %s", damage, err, out)
			}
			labtest.Eventually(t, "idle no longer receives app's ARP after nft "+damage, func() bool {
				before := len(s.idle.receivedARP())
				sendMark(t, s.db, s.idle, before)
				answered := len(s.app.answers())
				labtest.Eventually(t, "app is answered", func() bool { return len(s.app.answers()) > answered+5 })
				sendMark(t, s.db, s.idle, before+1)
				// The eBPF programs isolate app also while the table is gone.
				return len(s.idle.receivedARP()) == before && guardIsThere(t)
			})
		}
		stop()
		c, err := nftables.New()
		labtest.Must(t, err)
		labtest.Eventually(t, "there is one table, and it is not dormant", func() bool {
			tables, err := c.ListTablesOfFamily(nftables.TableFamilyBridge)
			labtest.Must(t, err)
			return len(tables) == 1 && tables[0].Flags == 0
		})
	})
}

// TestReinstallWithManyBindings flushes the ruleset of a large registry, while app requests one registered address
// after the other and sends a mark to db after each request. idle stops receiving app's requests, and app is answered,
// before the bindings are back and marks arrive at db.
func TestReinstallWithManyBindings(t *testing.T) {
	if testing.Short() {
		t.Skip("many bindings, in short")
	}
	labtest.NeedProgram(t, "nft")
	t.Setenv(labtest.DatapathVariable, "user") // the eBPF programs answer and forward also while the table is gone
	s := build(t, onBridge)
	configuration := strings.Builder{}
	configuration.WriteString(network(s.attach))
	for i := range 50_000 {
		fmt.Fprintf(&configuration, "      %s: \"02:00:ff:00:%02x:%02x\"\n", oneOfMany(i), i>>8, i&255)
	}
	start(t, configuration.String())
	said := 0
	sayUntil := func(what string, heard func() map[int]bool) {
		first := said
		labtest.Eventually(t, what, func() bool {
			s.app.send(t, s.app.request(oneOfMany(said)).Frame())
			s.app.send(t, mark(s.app, s.db, said))
			said++
			numbers := slices.Collect(maps.Keys(heard()))
			return len(numbers) > 0 && slices.Max(numbers) >= first
		})
	}
	answers := func() map[int]bool { return numbers(s.app.answers(), 30) } // in the sender's address
	marks := func() map[int]bool { return numbers(s.db.received(), 44) }   // in what an echo carries
	sayUntil("app is answered", answers)
	runNFT(t, "flush ruleset")
	sayUntil("app is answered again", answers)
	sayUntil("marks get through again", marks)
	sendMark(t, s.db, s.idle, said)

	crossed := -1
	for n := range numbers(s.idle.receivedARP(), 40) { // in the target's address
		crossed = max(crossed, n)
	}
	answered := answers()
	maps.DeleteFunc(answered, func(n int, _ bool) bool { return n <= crossed || marks()[n] })
	t.Logf("of %d, request %d was the last to cross; %d were answered whose marks didn't get through", said, crossed, len(answered))
	if len(answered) == 0 {
		t.Error("the bindings were back before app was answered, or at the same moment")
	}
}

// numbers returns the numbers at an offset of the frames.
func numbers(frames [][]byte, offset int) map[int]bool {
	all := map[int]bool{}
	for _, frame := range frames {
		if len(frame) >= offset+2 {
			all[int(binary.BigEndian.Uint16(frame[offset:]))] = true
		}
	}
	return all
}

// oneOfMany is a registered address, by number.
func oneOfMany(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 240, byte(i >> 8), byte(i)}) }
