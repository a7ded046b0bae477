package bpf

import (
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/datapath/datapathtest"
	"github.com/arpfabric/arpfabric/internal/datapath/nft"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

func TestContract(t *testing.T) {
	datapathtest.Test(t, datapathtest.Implementation{
		New:   func() datapath.Datapath { return New(nft.New()) },
		Break: func(t *testing.T) { labtest.Must(t, nft.New().Remove()) },
	})
}
