package wire_test

import (
	"os"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.RunTests(m)) }
