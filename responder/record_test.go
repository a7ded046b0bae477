package responder_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/arpfabric/arpfabric/internal/decisiontest"
	"github.com/arpfabric/arpfabric/responder"
)

var update = flag.Bool("update", false, "write the frames of the tests in testdata again; not with -run")

// recorded has the frames of the tables and of the fuzz targets' seeds. With them, a test of the eBPF program holds it to
// responder.
var recorded decisiontest.File

func (n network) record(in responder.Ingress, frame []byte) {
	if runsAll() {
		recorded.Add(n.Registry(), n.policy, decisiontest.Case{In: in, Frame: frame})
	}
}

// TestMain checks that testdata has the frames that the tests have recorded.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && runsAll() {
		if err := recorded.Check("testdata/frames.jsonl", *update); err != nil {
			fmt.Fprintln(os.Stderr, "FAIL:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// runsAll reports whether no flag leaves out tests, or has a fuzz target try more frames than its seeds.
func runsAll() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		if flag.Lookup(name).Value.String() != "" {
			return false
		}
	}
	return true
}
