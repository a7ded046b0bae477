package daemon

import (
	"context"
	"net"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/build"
	"github.com/arpfabric/arpfabric/internal/metrics"
	"github.com/arpfabric/arpfabric/internal/source"
)

// serveMetrics serves metrics until ctx ends, if the configuration has an address for them. It only logs an error:
// guests need answers also without metrics.
func (d *daemon) serveMetrics(ctx context.Context, c config.Metrics) {
	if c.Listen == "" {
		return
	}
	l, err := net.Listen("tcp", c.Listen)
	if err == nil {
		err = metrics.Serve(ctx, l, d.snapshot, d.fabric.Alive, d.log)
	}
	if err != nil {
		d.log.Warn("metrics unavailable until the next start", "listen", c.Listen, "error", err)
	}
}

func (d *daemon) snapshot() metrics.Snapshot {
	networks := d.fabric.Config().Networks
	states := map[string][]source.State{}
	for i := range networks {
		states[networks[i].Name] = d.allocations.sources.states(&networks[i])
	}
	return metrics.Snapshot{
		Build:     build.Read(),
		Datapath:  d.datapath.State().InForce,
		Networks:  networks,
		Sources:   states,
		Ports:     d.fabric.Counts(),
		Latency:   d.fabric.Latency(),
		Troubles:  d.fabric.Troubles(),
		Records:   d.fabric.Violations().Len(),
		Forgotten: d.fabric.Violations().Forgotten(),
		Reload:    d.reloader.Status(),
		Etcd:      d.allocations.health(),
	}
}
