package metrics

import (
	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/build"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/reload"
)

// Figures is what is exported, as it is at one moment.
type Figures struct {
	Build     build.Info
	Networks  []config.Network    // that are in force
	Ports     []fabric.PortCounts // of all networks, no two with the same network and name
	Latency   fabric.Latency
	Troubles  fabric.Troubles
	Records   int    // of violations, that are kept
	Forgotten uint64 // records of violations that have made room for others
	Reload    reload.Status
}
