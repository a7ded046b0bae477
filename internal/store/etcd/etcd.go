package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/store"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Store is a [store.Shared] in etcd.
type Store struct {
	config   *config.Etcd
	keys     keys
	log      *slog.Logger
	snapshot *snapshot // nil for none
	follower *follower
	inbox    *inbox
	changed  chan struct{}
	stop     func()

	table   *store.Table
	applied int64                  // the revision of etcd that the table has
	own     int64                  // of the last change that this store has made
	touched map[store.Address]bool // since the last Receive

	mu     sync.Mutex // guards the fields below
	client *clientv3.Client
	health store.Health
}

// Open opens the store of a configuration. If etcd can't be reached soon, it opens the last snapshot in folder, and goes
// on trying: that is no error. If folder is "", there are no snapshots.
func Open(log *slog.Logger, c *config.Etcd, folder string) *Store {
	s := &Store{
		config: c, keys: keys(c.Prefix), log: log, inbox: newInbox(), changed: make(chan struct{}, 1),
		table: store.NewTable(), touched: map[store.Address]bool{}, health: store.Health{Err: errConnecting},
	}
	if folder != "" {
		s.snapshot = &snapshot{folder: folder, prefix: c.Prefix}
		s.readSnapshot()
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	s.follower = newFollower(s, s.table)
	go func() { defer close(ended); s.follower.run(ctx) }()
	s.stop = func() { cancel(); <-ended }
	soon, cancelWait := context.WithTimeout(ctx, startPatience)
	defer cancelWait()
	select {
	case <-s.follower.tried:
	case <-soon.Done():
	}
	s.drain()
	s.touched = map[store.Address]bool{}
	return s
}

var errConnecting = errors.New("etcd has not answered yet")

// readSnapshot takes over the snapshot, if there is one.
func (s *Store) readSnapshot() {
	table, at, err := s.snapshot.read()
	if err != nil {
		s.log.Error("the last snapshot of etcd is of no use; while etcd cannot be reached, no allocation is known", "error", err)
	}
	if table == nil {
		return
	}
	s.table, s.health.Current = table, at
	s.snapshot.written = table.Revision()
}

// Table implements [store.Store].
func (s *Store) Table() *store.Table { return s.table }

// Changed implements [store.Shared].
func (s *Store) Changed() <-chan struct{} { return s.changed }

func (s *Store) notify() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Health implements [store.Shared].
func (s *Store) Health() store.Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.health
}

// setHealth records whether etcd can be used. It logs when that changes.
func (s *Store) setHealth(err error) {
	s.mu.Lock()
	before := s.health
	s.health.Err = err
	if err == nil {
		s.health.Current = time.Now()
	}
	s.mu.Unlock()
	switch {
	case err == nil && before.Err != nil:
		s.log.Info("etcd is reached", "endpoints", s.config.Endpoints, "prefix", s.config.Prefix)
	case err != nil && (before.Err == nil || before.Err.Error() != err.Error()):
		s.log.Error("etcd cannot be used: the allocations that are known stay in force, and nothing can be allocated or freed",
			"error", err, "known_for", knownFor(before.Current))
	default:
		return
	}
	s.notify()
}

// knownFor says how old the allocations are.
func knownFor(current time.Time) string {
	if current.IsZero() {
		return "none is known"
	}
	return time.Since(current).Round(time.Second).String()
}

// setClient replaces the client, and closes the old one.
func (s *Store) setClient(c *clientv3.Client) {
	s.mu.Lock()
	before := s.client
	s.client = c
	s.mu.Unlock()
	if before != nil {
		before.Close()
	}
}

// usable returns the client, or why nothing can be changed.
func (s *Store) usable() (*clientv3.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.health.Err != nil {
		return nil, s.health.Err
	}
	return s.client, nil
}

// Receive implements [store.Shared].
func (s *Store) Receive() []store.Address {
	s.drain()
	all := slices.SortedFunc(maps.Keys(s.touched), func(a, b store.Address) int { return a.Addr.Compare(b.Addr) })
	s.touched = map[store.Address]bool{} // and give back the memory of all addresses
	return all
}

// drain applies to the table what etcd has sent.
func (s *Store) drain() {
	for _, u := range s.inbox.take() {
		if u.all != nil {
			s.replace(u)
		}
		for _, e := range u.events {
			s.apply(e)
		}
		s.applied = u.revision
	}
}

// apply applies an event. This store's own changes are in the table already.
func (s *Store) apply(e event) {
	at := store.Address{Network: e.Network, Addr: e.Address}
	if now, ok := s.table.Get(e.Network, e.Address); ok && now.Revision >= e.Revision {
		return
	}
	if e.isDeleted {
		s.table.Delete(e.Network, e.Address)
	} else {
		s.table.Apply(e.Change)
	}
	s.touched[at] = true
}

// replace replaces the table, and notes the addresses that differ.
func (s *Store) replace(u update) {
	switch {
	case u.isRestored:
		s.own = 0
	case u.revision < s.own: // read before a change that is in the table; the next events have it
		s.keepOwn(u.all)
	}
	note := func(a, b *store.Table) {
		for _, network := range a.Networks() {
			for one := range a.All(network) {
				if other, ok := b.Get(network, one.Address); !ok || other != one {
					s.touched[store.Address{Network: network, Addr: one.Address}] = true
				}
			}
		}
	}
	note(s.table, u.all)
	note(u.all, s.table)
	s.table = u.all
}

// keepOwn adds this store's last change to a table that is older.
func (s *Store) keepOwn(to *store.Table) {
	for _, network := range s.table.Networks() {
		for one := range s.table.All(network) {
			if int64(one.Revision) == s.own {
				to.Apply(store.Change{Kind: store.Allocate, Allocation: one})
			}
		}
	}
}

// Maintain implements [store.Store]. It writes the snapshot.
func (s *Store) Maintain() error {
	if s.snapshot == nil {
		return nil
	}
	if err := s.snapshot.update(s.table, s.Health()); err != nil {
		return fmt.Errorf("writing the snapshot of etcd: %w", err)
	}
	return nil
}

// Close implements [store.Store].
func (s *Store) Close() error {
	s.stop()
	s.setClient(nil)
	if s.snapshot == nil {
		return nil
	}
	s.drain()
	return s.snapshot.write(s.table, s.Health())
}
