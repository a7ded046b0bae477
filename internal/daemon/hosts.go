package daemon

import (
	"context"
	"log/slog"
	"net/netip"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/store/etcd"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// hosts tells other hosts which guests are here, and the fabric which are there.
type hosts struct {
	log    *slog.Logger
	fabric *fabric.Fabric
	claims *etcd.Claims

	reloads chan struct{}
}

// newHosts returns nil if the configuration has no etcd.
func newHosts(log *slog.Logger, f *fabric.Fabric, c config.Store) *hosts {
	if c.Etcd == nil {
		return nil
	}
	return &hosts{log, f, etcd.NewClaims(log, c.Etcd), make(chan struct{}, 1)}
}

// run runs until ctx ends.
func (h *hosts) run(ctx context.Context) {
	if h == nil {
		return
	}
	ended := make(chan struct{})
	defer func() { <-ended }()
	go func() { defer close(ended); h.claims.Run(ctx) }()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.fabric.LocationsChanged():
			h.publish()
		case <-h.claims.Changed():
			h.receive(ctx)
		case <-h.reloads:
			h.receive(ctx)
		}
	}
}

// reloaded notes that the configuration may have another overlay.
func (h *hosts) reloaded() {
	if h == nil {
		return
	}
	select {
	case h.reloads <- struct{}{}:
	default:
	}
}

// publish says which guests are here.
func (h *hosts) publish() {
	tunnels := h.tunnels()
	own := map[etcd.Guest]etcd.Own{}
	for _, l := range h.fabric.Guests() {
		if tunnel, ok := tunnels[l.Network]; ok {
			own[etcd.Guest{Network: l.Network, MAC: l.MAC}] = etcd.Own{Tunnel: tunnel, Overrules: l.Overrules}
		}
	}
	h.claims.Publish(own)
}

// tunnels returns this host's address in each network with an overlay.
func (h *hosts) tunnels() map[string]netip.Addr {
	tunnels := map[string]netip.Addr{}
	for _, n := range h.fabric.Config().Networks {
		if n.Overlay.Device != "" {
			tunnels[n.Name] = n.Overlay.Local
		}
	}
	return tunnels
}

// receive tells the fabric which guests are elsewhere.
func (h *hosts) receive(ctx context.Context) {
	others, known := h.claims.Others()
	if !known {
		return
	}
	remotes := map[string]map[registry.MAC]fabric.Remote{}
	for network := range h.tunnels() {
		remotes[network] = map[registry.MAC]fabric.Remote{}
	}
	for guest, one := range others {
		if in, ok := remotes[guest.Network]; ok {
			in[guest.MAC] = fabric.Remote{Host: one.Host, Tunnel: one.Tunnel, Revision: one.Revision}
		}
	}
	for network, in := range remotes {
		if err := h.fabric.SetRemotes(ctx, network, in); err != nil && ctx.Err() == nil {
			h.log.Error("the guests of other hosts cannot all be reached", "network", network, "error", err)
		}
	}
}

// findings says which guests of a network two hosts claim, and whether another fabric has this host's name.
func (h *hosts) findings(network string) []string {
	if h == nil {
		return nil
	}
	found := h.claims.Findings()
	return append(found[network], found[""]...)
}
