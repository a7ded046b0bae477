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

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/google/nftables"
)

// TestRobbedOfItsRules has somebody flush the ruleset, and change it by hand, while app shouts.
func TestRobbedOfItsRules(t *testing.T) {
	lab.NeedProgram(t, "nft")
	each(t, guarded, func(t *testing.T, s *stage) {
		start(t, network(s.attach))
		stop := s.app.Shout(s.app.request(dbAddr).Frame())
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
			lab.Eventually(t, "idle no longer hears app after nft "+damage, func() bool {
				before := len(s.idle.heard())
				sendMark(t, s.db, s.idle, before)
				answered := len(s.app.answers())
				lab.Eventually(t, "app is answered", func() bool { return len(s.app.answers()) > answered+5 })
				sendMark(t, s.db, s.idle, before+1)
				return len(s.idle.heard()) == before
			})
		}
		stop()
		c, err := nftables.New()
		must(t, err)
		tables, err := c.ListTablesOfFamily(nftables.TableFamilyBridge)
		must(t, err)
		if len(tables) != 1 || tables[0].Flags != 0 {
			t.Errorf("the tables are %+v", tables)
		}
	})
}

// TestRobbedOfManyBindings has somebody flush the ruleset of a large registry, while app asks for one registered address
// after the other and sends db a mark after each request: idle no longer hears app, and app is answered, before the
// bindings are back and the marks get through.
func TestRobbedOfManyBindings(t *testing.T) {
	if testing.Short() {
		t.Skip("many bindings, in short")
	}
	lab.NeedProgram(t, "nft")
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
		lab.Eventually(t, what, func() bool {
			s.app.send(t, s.app.request(oneOfMany(said)).Frame())
			s.app.send(t, mark(s.app, s.db, said))
			said++
			numbers := slices.Collect(maps.Keys(heard()))
			return len(numbers) > 0 && slices.Max(numbers) >= first
		})
	}
	answers := func() map[int]bool { return numbers(s.app.answers(), 30) } // in the sender's address
	marks := func() map[int]bool { return numbers(s.db.arrived(), 44) }    // in what an echo carries
	sayUntil("app is answered", answers)
	nft(t, "flush ruleset")
	sayUntil("app is answered again", answers)
	sayUntil("marks get through again", marks)
	sendMark(t, s.db, s.idle, said)

	crossed := -1
	for n := range numbers(s.idle.heard(), 40) { // in the target's address
		crossed = max(crossed, n)
	}
	answered := answers()
	maps.DeleteFunc(answered, func(n int, _ bool) bool { return n <= crossed || marks()[n] })
	t.Logf("of %d, request %d was the last to cross; %d were answered whose marks didn't get through", said, crossed, len(answered))
	if len(answered) == 0 {
		t.Error("the bindings were back before app was answered, or at the same moment")
	}
}

// numbers reads a number in each frame, at an offset.
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
