package daemon_test

import (
	"os"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/load"
)

func TestMain(m *testing.M) {
	load.ObeyOrder()
	beClients()
	os.Exit(lab.RunTests(m))
}
