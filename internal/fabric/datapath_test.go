package fabric_test

import (
	"os"
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/datapath/bpf"
	"github.com/arpfabric/arpfabric/internal/datapath/nft"
)

// datapathVariable is the environment variable that chooses the datapath of the tests.
const datapathVariable = "ARPFABRIC_TEST_DATAPATH"

// newDatapath returns the datapath that the tests run on: that of eBPF where this user may have it, or else that of nftables.
// So as root all tests of this package hold for the one, and as an ordinary user for the other. The value user of
// datapathVariable chooses the latter.
func newDatapath(t testing.TB) datapath.Datapath {
	t.Helper()
	if os.Getenv(datapathVariable) != "user" && len(bpf.Missing()) == 0 {
		return bpf.New(nft.New())
	}
	return nft.New()
}
