package daemon

import (
	"context"
	"net"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/build"
	"github.com/arpfabric/arpfabric/internal/metrics"
)

// serveMetrics lets Prometheus fetch metrics until ctx ends. That it can't is no reason to leave guests without
// answers.
func (d *daemon) serveMetrics(ctx context.Context, c config.Metrics) {
	if c.Listen == "" {
		return
	}
	l, err := net.Listen("tcp", c.Listen)
	if err == nil {
		err = metrics.Serve(ctx, l, d.figures, d.log)
	}
	if err != nil {
		d.log.Warn("there are no metrics until the next start", "listen", c.Listen, "error", err)
	}
}

func (d *daemon) figures() metrics.Figures {
	return metrics.Figures{
		Build:     build.Read(),
		Networks:  d.fabric.Config().Networks,
		Ports:     d.fabric.Counts(),
		Latency:   d.fabric.Latency(),
		Troubles:  d.fabric.Troubles(),
		Records:   d.fabric.Violations().Len(),
		Forgotten: d.fabric.Violations().Forgotten(),
		Reload:    d.reloader.Status(),
	}
}
