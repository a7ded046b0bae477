package bpf

import (
	"os"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

func TestMain(m *testing.M) { os.Exit(labtest.RunTests(m)) }
