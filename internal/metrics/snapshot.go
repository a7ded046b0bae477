package metrics

import (
	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/build"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/reload"
	"github.com/arpfabric/arpfabric/internal/source"
	"github.com/arpfabric/arpfabric/internal/store"
)

// Snapshot has the values to export, as of one moment.
type Snapshot struct {
	Build     build.Info
	Datapath  config.Datapath           // in force
	Networks  []config.Network          // of the configuration that is in force
	Sources   map[string][]source.State // by network, in the order of its sources
	Ports     []fabric.PortCounts       // of all networks; the pair of network and port is unique
	Latency   fabric.Latency
	Troubles  fabric.Troubles
	Records   int    // current records of violations
	Forgotten uint64 // records of violations that were deleted to make room for others
	Reload    reload.Status
	Etcd      *store.Health // nil if the configuration has no etcd
}
