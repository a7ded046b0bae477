package nft_test

import (
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/datapath/datapathtest"
	"github.com/arpfabric/arpfabric/internal/datapath/nft"
)

func TestContract(t *testing.T) {
	datapathtest.Test(t, datapathtest.Implementation{
		New: func() datapath.Datapath { return nft.New() },
		Break: func(t *testing.T) {
			// The table exists all the time, so that only a check of its rules detects the change.
			if err := insertRule(); err != nil {
				t.Fatal(err)
			}
		},
	})
}
