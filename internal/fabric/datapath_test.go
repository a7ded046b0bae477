package fabric_test

import (
	"os"
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/datapath/bpf"
	"github.com/arpfabric/arpfabric/internal/datapath/nft"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

// newDatapath returns the datapath that the tests run on: that of eBPF where this user may have it, or else that of nftables.
// So as root all tests of this package hold for the one, and as an ordinary user for the other. The value user of
// labtest.DatapathVariable chooses the latter.
func newDatapath(t testing.TB) datapath.Datapath {
	t.Helper()
	if os.Getenv(labtest.DatapathVariable) != "user" && len(bpf.Missing()) == 0 {
		return bpf.New(nft.New())
	}
	return nft.New()
}
