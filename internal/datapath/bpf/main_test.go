package bpf

import (
	"fmt"
	"os"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

// The kernel lets no ordinary user load programs, not even in a user namespace. As root, no test is skipped.
func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "SKIP: all tests of this package: only root may load eBPF programs")
		os.Exit(0)
	}
	os.Exit(labtest.RunTests(m))
}
