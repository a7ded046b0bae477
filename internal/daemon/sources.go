package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/source"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// sources follows the sources of all networks.
type sources struct {
	log *slog.Logger

	mu      sync.Mutex
	ctx     context.Context // that they run in; nil before run
	current map[sourceKey]*followed
	changed func(ctx context.Context, network string)
	tasks   sync.WaitGroup
}

// A sourceKey identifies a source: several networks may have the same one.
type sourceKey struct {
	network string
	config.Source
}

// followed is a source, with what ends it once it runs.
type followed struct {
	*source.Source
	cancel context.CancelFunc
}

func newSources(log *slog.Logger) *sources {
	return &sources{log: log, current: map[sourceKey]*followed{}}
}

// prepare returns the sources of a configuration. It opens those that are new. Then either replace or forget has to be
// called.
func (s *sources) prepare(ctx context.Context, c *config.Config) map[sourceKey]*followed {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := map[sourceKey]*followed{}
	for _, n := range c.Networks {
		for _, one := range n.Sources {
			key := sourceKey{n.Name, one}
			if next[key] = s.current[key]; next[key] == nil {
				next[key] = &followed{Source: source.Open(ctx, one, s.log.With("network", n.Name))}
			}
		}
	}
	return next
}

// forget closes those of the sources that are not followed.
func (s *sources) forget(next map[sourceKey]*followed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, one := range next {
		if s.current[key] != one {
			one.Close()
		}
	}
}

// replace makes these the sources that are followed. After each change of one, it calls changed.
func (s *sources) replace(next map[sourceKey]*followed, changed func(ctx context.Context, network string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, one := range s.current {
		if next[key] != one {
			one.end()
		}
	}
	s.current, s.changed = next, changed
	if s.ctx != nil {
		s.start()
	}
}

// end ends a source.
func (f *followed) end() {
	if f.cancel == nil {
		f.Close()
		return
	}
	f.cancel()
}

// start runs the sources that don't run yet.
func (s *sources) start() {
	for key, one := range s.current {
		if one.cancel != nil {
			continue
		}
		ctx, cancel := context.WithCancel(s.ctx)
		one.cancel = cancel
		s.tasks.Go(func() { one.Run(ctx, func() { s.changed(ctx, key.network) }) })
	}
}

// run follows the sources until ctx ends.
func (s *sources) run(ctx context.Context) {
	s.mu.Lock()
	s.ctx = ctx
	s.start()
	s.mu.Unlock()
	<-ctx.Done()
	s.tasks.Wait()
}

// close closes the sources that never ran.
func (s *sources) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.current {
		one.end()
	}
}

// states returns the states of a network's sources, in their order.
func (s *sources) states(n *config.Network) []source.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]source.State, len(n.Sources))
	for i, one := range n.Sources {
		if f := s.current[sourceKey{n.Name, one}]; f != nil {
			all[i] = f.State()
		}
	}
	return all
}

// sourced has the bindings of a network's sources.
type sourced struct {
	inForce map[netip.Addr]sourcedBinding
	outside []sourcedBinding // those that are not in force, sorted by address
}

// A sourcedBinding is a binding of a source.
type sourcedBinding struct {
	registry.Binding
	kind    config.SourceKind
	expires time.Time // the zero Time for never
	reason  string    // why it is not in force, or ""
}

// isSame reports whether two bindings are the same in the registry.
func (b sourcedBinding) isSame(c sourcedBinding) bool {
	return b.First == c.First && b.MAC == c.MAC && b.Name == c.Name && b.Origin == c.Origin
}

func (s sourced) bindings() []registry.Binding {
	all := make([]registry.Binding, 0, len(s.inForce))
	for _, b := range s.inForce {
		all = append(all, b.Binding)
	}
	return all
}

// sourcedOf returns what a network's sources have now. The configuration comes first, then the sources in their order.
func sourcedOf(n *config.Network, file *registry.Registry, all map[sourceKey]*followed) sourced {
	s := sourced{inForce: map[netip.Addr]sourcedBinding{}}
	for _, one := range n.Sources {
		for _, lease := range all[sourceKey{n.Name, one}].State().Leases {
			b := sourcedBinding{lease.Binding, one.Kind, lease.Expires, ""}
			before, isBound := file.Lookup(b.First)
			if earlier, ok := s.inForce[b.First]; ok && !isBound {
				before, isBound = earlier.Binding, true
			}
			switch {
			case n.CheckAddress(b.First) != nil: // another network's: a server may have several
			case !isBound:
				s.inForce[b.First] = b
			case before.MAC != b.MAC && !before.Candidates.Contains(b.MAC):
				b.reason = fmt.Sprintf("%s binds the address to %s, and comes first", before.Origin, before.MAC)
				s.outside = append(s.outside, b)
			}
		}
	}
	slices.SortStableFunc(s.outside, func(b, c sourcedBinding) int { return b.First.Compare(c.First) })
	return s
}

// sourceChanged puts the bindings of a network's sources in force after a change.
func (a *allocations) sourceChanged(ctx context.Context, network string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.updateSourced(ctx, network)
}

// updateSourced puts the bindings of a network's sources in force. If that fails, it is tried again later.
func (a *allocations) updateSourced(ctx context.Context, network string) {
	delete(a.stale, network)
	n, err := a.network(network)
	if err != nil || ctx.Err() != nil {
		return // the network, or arpfabric, ends
	}
	before, outside := a.sourced[network], maps.Clone(a.outside)
	outside[network] = maps.Clone(a.outside[network])
	if err := a.putSourcedInForce(ctx, n, sourcedOf(n, a.files[network], a.sources.followed())); err != nil {
		a.stale[network] = true
		a.log.Error("the bindings of a source can't be put in force; they are tried again", "network", network, "error", err)
		return
	}
	a.summarize()
	a.logConflicts(network, before)
	a.logOutside(outside)
}

// followed returns the sources that are followed.
func (s *sources) followed() map[sourceKey]*followed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// putSourcedInForce edits a network's registry so that it has the given bindings of its sources. After an error it has
// those before.
func (a *allocations) putSourcedInForce(ctx context.Context, n *config.Network, next sourced) error {
	before, base := a.sourced[n.Name], a.bases[n.Name]
	var addrs []netip.Addr
	var remove, add []registry.Binding
	for addr, b := range before.inForce {
		if now, ok := next.inForce[addr]; !ok || !now.isSame(b) {
			addrs, remove = append(addrs, addr), append(remove, b.Binding)
		}
	}
	for addr, b := range next.inForce {
		if was, ok := before.inForce[addr]; !ok || !was.isSame(b) {
			addrs, add = append(addrs, addr), append(add, b.Binding)
		}
	}
	edited, err := base.Edit(remove, add)
	if err != nil {
		return err
	}
	a.sourced[n.Name], a.bases[n.Name] = next, edited
	if err := a.edit(ctx, n, addrs); err != nil {
		a.sourced[n.Name], a.bases[n.Name] = before, base
		return err
	}
	return nil
}

// logConflicts logs the bindings of a network's sources that are not in force, except those that were not before.
func (a *allocations) logConflicts(network string, before sourced) {
	const most = 10
	var news []sourcedBinding
	for _, b := range a.sourced[network].outside {
		if !slices.ContainsFunc(before.outside, func(c sourcedBinding) bool { return b.isSame(c) && b.reason == c.reason }) {
			news = append(news, b)
		}
	}
	for _, b := range news[:min(most, len(news))] {
		a.log.Warn("a binding of a source is not in force", "network", network, "address", b.First, "mac", b.MAC,
			"origin", b.Origin, "reason", b.reason)
	}
	if len(news) > most {
		a.log.Warn("more bindings of sources are not in force; see arpfabric bindings", "network", network, "bindings", len(news)-most)
	}
}
