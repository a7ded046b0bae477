package daemon_test

import (
	"os"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/loadgen"
)

func TestMain(m *testing.M) {
	loadgen.RunChild()
	runClients()
	os.Exit(labtest.RunTests(m))
}
