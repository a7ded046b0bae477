package fabric_test

import (
	"os/exec"
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
			eventually(t, "idle no longer hears app after nft "+damage, func() bool {
				before := len(s.idle.heard())
				sendMark(t, s.db, s.idle, before)
				answered := len(s.app.answers())
				eventually(t, "app is answered", func() bool { return len(s.app.answers()) > answered+5 })
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
