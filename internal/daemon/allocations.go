package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/allocate"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/store"
	"github.com/arpfabric/arpfabric/internal/store/etcd"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// allocations puts the allocations of the store in force, beside the bindings of the configuration, and changes them.
//
// A network's registry in force has the bindings of the configuration, then those of its sources, and then the
// allocations, as far as they don't conflict with those before. merge.go makes it when a configuration is loaded; a change
// of a source or the store edits it.
type allocations struct {
	log      *slog.Logger
	fabric   registries
	config   config.Store
	shared   store.Shared // the store, if other hosts change it, too; else nil
	requests chan *change
	clock    *clock

	summary atomic.Pointer[summary]

	mu       sync.Mutex // held while the configuration or the store changes, and while they are read together
	store    store.Store
	files    map[string]*registry.Registry            // the bindings of the configuration, by network
	sources  *sources                                 // that are followed
	sourced  map[string]sourced                       // the bindings of the sources, by network
	bases    map[string]*registry.Registry            // files with those of sourced that are in force
	stale    map[string]bool                          // the networks whose sources have changed, but not yet the registry
	outside  map[string]map[netip.Addr]outsideBinding // the allocations that are not in force, by network
	given    map[string]netip.Addr                    // the address that was given last, by network
	failedAt time.Time                                // when an expiry could not be stored
	reported string                                   // the error of the store that was logged last

	maintainFailed bool // the last time

	retried []store.Address // that others have changed, and which could not be put in force
}

// registries is the running fabric, as far as allocations need it.
type registries interface {
	Config() *config.Config
	Reload(context.Context, *config.Config) error
	SetRegistry(ctx context.Context, network string, r *registry.Registry) error
	Location(network string, mac registry.MAC) (fabric.Located, bool)
	HostAddresses(network string) (fabric.HostAddresses, error)
}

// A change waits until it is decided, stored and in force.
type change struct {
	network string
	decide  func(*allocate.State) (c store.Change, isChange bool, err error)
	done    chan<- changeResult
}

type changeResult struct {
	store.Allocation // as it is now, or was if it was freed
	err              error
}

// maxBatch is the most changes that are stored together, which takes as long as one.
const maxBatch = 64

// newAllocations opens the store of a configuration, if it is shared or something was allocated before. Else the first
// allocation opens it, so that a fabric that allocates nothing needs no folder. Merge and attach have to be called before
// run.
func newAllocations(log *slog.Logger, c config.Store) *allocations {
	a := &allocations{
		log: log, config: c, requests: make(chan *change), clock: newClock(log),
		outside: map[string]map[netip.Addr]outsideBinding{}, given: map[string]netip.Addr{},
		sources: newSources(log), stale: map[string]bool{},
	}
	switch {
	case c.Etcd != nil:
		a.shared = etcd.Open(log, c.Etcd, c.Folder)
		a.store = a.shared
	case c.Folder != "" && store.Exists(c.Folder):
		a.report(a.open())
	}
	return a
}

// open opens the store in the folder.
func (a *allocations) open() error {
	if a.config.Folder == "" {
		return errors.New("the configuration has store.folder: off, so nothing can be allocated")
	}
	f, err := store.Open(a.config.Folder)
	if err != nil {
		return err
	}
	for _, problem := range f.Problems() {
		a.log.Error("a line of the store has no effect", "problem", problem)
	}
	f.Remade = func() {
		a.log.Warn("somebody deleted or moved the files of the store; arpfabric has written them again, and the history may "+
			"be lost", "folder", a.config.Folder)
	}
	a.store = f
	return f.Writable()
}

// report logs an error of the store once.
func (a *allocations) report(err error) {
	defer a.summarize()
	if err == nil {
		a.reported = ""
		return
	}
	if text := err.Error(); text != a.reported {
		a.reported = text
		a.log.Error("the store fails: allocations cannot be changed", "error", err)
	}
}

// run makes changes, and frees what expires, until ctx ends.
func (a *allocations) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-a.requests:
			a.apply(ctx, a.gather(first))
		case <-a.changed():
			a.receive(ctx)
		case <-timer.C:
			a.receive(ctx)
			a.expire(ctx)
		}
		timer.Reset(a.maintain())
	}
}

// close closes the store. Call it when run has returned.
func (a *allocations) close() {
	a.sources.close()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.store != nil {
		a.report(a.store.Close())
	}
}

// gather returns a request with those that wait already.
func (a *allocations) gather(first *change) []*change {
	batch := []*change{first}
	for len(batch) < maxBatch {
		select {
		case next := <-a.requests:
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

// change has a change made, and returns the allocation.
func (a *allocations) change(
	ctx context.Context, network string, decide func(*allocate.State) (store.Change, bool, error),
) (store.Allocation, error) {
	done := make(chan changeResult, 1)
	select {
	case a.requests <- &change{network, decide, done}:
	case <-ctx.Done():
		return store.Allocation{}, ctx.Err()
	}
	select {
	case result := <-done:
		return result.Allocation, result.err
	case <-ctx.Done():
		return store.Allocation{}, ctx.Err()
	}
}

// apply makes a batch of changes.
func (a *allocations) apply(ctx context.Context, batch []*change) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.ensureOpen(ctx); err != nil {
		for _, c := range batch {
			c.done <- changeResult{err: err}
		}
		return
	}
	a.forgetHeld(a.clock.Now()) // their MACs are free again
	if a.shared == nil {
		a.makeTogether(ctx, batch)
		return
	}
	for _, c := range batch {
		c.done <- a.makeShared(ctx, c)
	}
}

// makeTogether makes changes, and stores them together.
func (a *allocations) makeTogether(ctx context.Context, batch []*change) {
	now := a.clock.Now()
	var changes []store.Change
	deciders := map[int]*change{} // by the index of their change
	for _, c := range batch {
		next, isChange, err := a.decide(c, changes, now)
		switch {
		case err != nil:
			c.done <- changeResult{err: err}
		case !isChange:
			current, _ := a.store.Table().Get(c.network, next.Address)
			c.done <- changeResult{Allocation: current}
		default:
			deciders[len(changes)] = c
			changes = append(changes, next)
		}
	}
	err := a.commit(ctx, changes)
	for i, c := range deciders {
		c.done <- changeResult{changes[i].Allocation, err}
	}
}

// ensureOpen opens a store that could not be opened before, or was not there.
func (a *allocations) ensureOpen(ctx context.Context) error {
	if a.store != nil {
		return nil
	}
	err := a.open()
	if a.config.Folder != "" {
		a.report(err)
	}
	if a.store == nil {
		return err
	}
	before := maps.Clone(a.outside)
	for _, n := range a.fabric.Config().Networks {
		if err := a.putInForce(ctx, n.Name); err != nil {
			return err
		}
		a.logTakenOver(n.Name)
	}
	a.logOutside(before)
	return nil
}

// logTakenOver logs the allocations of a network that are in force since the store was opened.
func (a *allocations) logTakenOver(network string) {
	const most = 10
	var addrs []string
	n := 0
	for one := range a.store.Table().All(network) {
		if _, isOutside := a.outside[network][one.Address]; isOutside || hasExpired(one, a.clock.Now()) {
			continue
		}
		if n++; n <= most {
			addrs = append(addrs, one.Address.String())
		}
	}
	if n > most {
		addrs = append(addrs, "...")
	}
	if n > 0 {
		a.log.Info("took over the allocations of the store", "folder", a.config.Folder, "network", network, "allocations", n,
			"addresses", strings.Join(addrs, " "))
	}
}

// decide decides about one change, after those that are pending.
func (a *allocations) decide(c *change, pending []store.Change, now time.Time) (store.Change, bool, error) {
	s, err := a.state(c.network)
	if err != nil {
		return store.Change{}, false, err
	}
	s.Pending, s.Now = pending, now
	next, isChange, err := c.decide(s)
	if err == nil && next.Kind == store.Allocate {
		a.given[c.network] = next.Address
	}
	return next, isChange, err
}

// state returns the state of a network for a decision.
func (a *allocations) state(name string) (*allocate.State, error) {
	n, err := a.network(name)
	if err != nil && a.isRemoved(name) {
		left := otherNetwork(name)
		return &allocate.State{Network: left, File: left.Registry, Table: a.store.Table(), Now: a.clock.Now(), IsRemoved: true}, nil
	}
	if err != nil {
		return nil, err
	}
	table := store.NewTable()
	if a.store != nil {
		table = a.store.Table()
	}
	host, err := a.fabric.HostAddresses(name)
	if err != nil {
		return nil, err
	}
	return &allocate.State{
		Network: n, File: a.bases[name], Table: table, Now: a.clock.Now(), After: a.given[name], Host: allocate.Host(host),
	}, nil
}

// network returns a network of the configuration in force.
func (a *allocations) network(name string) (*config.Network, error) {
	networks := a.fabric.Config().Networks
	var names []string
	for i, n := range networks {
		if n.Name == name {
			return &networks[i], nil
		}
		names = append(names, n.Name)
	}
	return nil, &allocate.Refusal{Cause: allocate.Missing, Text: fmt.Sprintf("there is no network %s, but there is %s", name, strings.Join(names, ", "))}
}

// isRemoved reports whether the store has allocations of a network that the configuration does not have.
func (a *allocations) isRemoved(network string) bool {
	_, isConfigured := a.files[network]
	return !isConfigured && a.store != nil && a.store.Table().Len(network) > 0
}

// commit stores changes, and then puts them in force. If that fails, it takes them back.
func (a *allocations) commit(ctx context.Context, changes []store.Change) error {
	if len(changes) == 0 {
		return nil
	}
	err := a.store.Commit(changes)
	a.reportCommit(err)
	if err != nil {
		return err
	}
	err = a.putChangesInForce(ctx, changes)
	if err == nil {
		return nil
	}
	inverse := make([]store.Change, 0, len(changes))
	for i := len(changes) - 1; i >= 0; i-- {
		inverse = append(inverse, inverseOf(changes[i]))
	}
	return errors.Join(fmt.Errorf("the change could not be put in force, and was taken back: %w", err),
		a.store.Commit(inverse), a.putChangesInForce(ctx, inverse))
}

// inverseOf returns the change that takes back another one. An address that was allocated is held afterwards.
func inverseOf(c store.Change) store.Change {
	switch c.Kind {
	case store.Modify:
		current, before := c.Allocation, *c.Before
		c.Allocation, c.Before = before, &current
	case store.Allocate:
		c.Kind = store.Free
	default:
		c.Kind = store.Allocate
	}
	return c
}

// forgetHeld forgets the addresses that have been held for long enough.
func (a *allocations) forgetHeld(now time.Time) {
	for _, n := range a.fabric.Config().Networks {
		a.store.Table().ForgetHeld(n.Name, now.Add(-n.Allocation.Hold))
	}
}

// retryExpiry is how long an allocation that expired waits until it is tried again to store that.
const retryExpiry = 10 * time.Second

// expire frees the allocations that have expired. If that can't be stored, they are not in force all the same.
func (a *allocations) expire(ctx context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for network := range a.stale {
		a.updateSourced(ctx, network)
	}
	now := a.clock.Now()
	if a.store == nil && a.reported != "" {
		_ = a.ensureOpen(ctx) // it reports its error
	}
	if a.store == nil || time.Since(a.failedAt) < retryExpiry {
		return
	}
	changes := a.expired(now, maxBatch)
	if len(changes) == 0 {
		return
	}
	if err := a.commitExpired(changes); err != nil {
		a.failedAt = time.Now()
		changes = a.expired(now, math.MaxInt)
	}
	if err := a.putChangesInForce(ctx, changes); err != nil {
		a.failedAt = time.Now()
		a.log.Error("an allocation that has expired is still in force", "error", err)
	}
}

// expired returns the changes that free the allocations that have expired, at most limit.
func (a *allocations) expired(now time.Time, limit int) (changes []store.Change) {
	for _, one := range a.store.Table().Expired(now, limit) {
		changes = append(changes, allocate.Expire(one, now))
	}
	return changes
}

// commitExpired stores that allocations have expired. In a shared store, another host may have done that, or renewed them.
func (a *allocations) commitExpired(changes []store.Change) (err error) {
	if a.shared == nil {
		err = a.store.Commit(changes)
		a.report(err)
		return err
	}
	for i := range changes {
		one := a.shared.Commit(changes[i : i+1])
		a.reportCommit(one)
		if one != nil && !errors.Is(one, store.ErrConflict) {
			err = one
		}
	}
	return err
}

// maxWait is the longest time between two looks at the clock, which may be set.
const maxWait = time.Minute

// maintain does what can wait, and returns how long nothing has to be done.
func (a *allocations) maintain() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.stale) > 0 {
		return retryExpiry
	}
	if a.store == nil {
		return maxWait
	}
	if err := a.store.Maintain(); err != nil || a.maintainFailed {
		a.maintainFailed = err != nil
		a.report(err)
	}
	a.forgetHeld(a.clock.Now())
	next := a.store.Table().NextExpiry()
	switch wait := next.Sub(a.clock.Now()); {
	case len(a.retried) > 0 || time.Since(a.failedAt) < retryExpiry:
		return retryExpiry
	case a.shared != nil && (next.IsZero() || wait > retryExpiry):
		return retryExpiry // for its snapshot
	case next.IsZero() || wait > maxWait:
		return maxWait
	default:
		return max(0, wait)
	}
}
