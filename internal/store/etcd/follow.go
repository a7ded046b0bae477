package etcd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/arpfabric/arpfabric/internal/store"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	checkInterval   = 3 * time.Second // between two checks that etcd answers
	shortestRetry   = 100 * time.Millisecond
	longestRetry    = 5 * time.Second
	historyKept     = 30 * 24 * time.Hour
	historyLeast    = 1000      // changes of a network that are kept for longer
	historyInterval = time.Hour // between two deletions of the history before
)

// A follower reads all addresses, and then watches them, so that no change is missed.
type follower struct {
	*Store
	count    int    // the addresses in etcd that were believed last
	revision int64  // up to which etcd was read; 0 to read everything
	cluster  uint64 // the ID of the cluster
	lifetime context.Context

	isRestored bool // etcd has gone back to an older state, which is read next

	tried      chan struct{} // closed by endAttempt
	endAttempt func()        // the first attempt has ended
}

func newFollower(s *Store, known *store.Table) *follower {
	f := &follower{Store: s, tried: make(chan struct{})}
	f.endAttempt = sync.OnceFunc(func() { close(f.tried) })
	for _, network := range known.Networks() {
		f.count += known.Len(network)
	}
	return f
}

// run follows etcd until ctx ends. After an error it waits, for a random time so that many hosts don't come at once.
func (f *follower) run(ctx context.Context) {
	f.lifetime = ctx
	for wait := shortestRetry; ctx.Err() == nil; wait = min(2*wait, longestRetry) {
		reached, err := f.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if reached {
			wait = shortestRetry
		}
		if !reached || !isPassing(err) {
			f.fail(ctx, err)
		}
		f.endAttempt()
		select {
		case <-time.After(jitter(wait)):
		case <-ctx.Done():
		}
	}
}

// fail records that etcd can't be used, and why.
func (f *follower) fail(ctx context.Context, err error) {
	reason := explain(err, f.config)
	if isTimeout(err) {
		reason = cmp.Or(diagnose(ctx, f.config), reason)
	}
	f.setHealth(reason)
}

func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }

// isPassing reports whether an error only says that a watch has to begin again.
func isPassing(err error) bool {
	return errors.Is(err, errStale) || errors.Is(err, rpctypes.ErrCompacted) || errors.Is(err, rpctypes.ErrNoLeader) ||
		errors.Is(err, errWatchEnded)
}

var (
	errStale      = errors.New("etcd has an older state than was read before, as after the restore of a backup")
	errWatchEnded = errors.New("etcd has ended the watch")
)

// follow reads and watches until an error.
func (f *follower) follow(ctx context.Context) (reached bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := f.ensureClient(); err != nil {
		return false, err
	}
	if f.revision == 0 {
		if err := f.readAll(ctx); err != nil {
			return false, err
		}
	}
	// A member that has lost the others ends the watch, instead of being silent.
	events := f.client.Watch(clientv3.WithRequireLeader(ctx), f.keys.addresses(), clientv3.WithPrefix(),
		clientv3.WithRev(f.revision+1), clientv3.WithCreatedNotify())
	checks := f.check(ctx)
	for {
		select {
		case resp, ok := <-events:
			if !ok {
				return reached, errWatchEnded
			}
			if err := f.take(resp); err != nil {
				return reached, err
			}
			if !reached {
				f.setHealth(nil)
				f.endAttempt()
			}
			reached = true
		case err := <-checks:
			if errors.Is(err, errStale) {
				f.revision, f.isRestored = 0, true
				return reached, err
			}
			if err != nil {
				f.fail(ctx, err)
			} else if reached {
				f.setHealth(nil)
			}
		case <-ctx.Done():
			return reached, ctx.Err()
		}
	}
}

// ensureClient makes a client that has logged in. It lives until run ends.
func (f *follower) ensureClient() error {
	if f.client != nil { // only this goroutine changes it
		return nil
	}
	client, err := connect(f.lifetime, f.config)
	if err == nil {
		f.setClient(client)
	}
	return err
}

// readAll reads all addresses, unless they are not believed.
func (f *follower) readAll(ctx context.Context) error {
	l, err := readAll(ctx, f.client, f.keys)
	if err != nil {
		return err
	}
	for _, problem := range l.problems {
		f.log.Error("a key in etcd has no effect", "error", problem)
	}
	if err := f.checkEmpty(l.count); err != nil {
		return err
	}
	f.count, f.revision, f.cluster = l.count, l.revision, l.cluster
	f.deliver(update{revision: l.revision, all: l.table, isRestored: f.isRestored})
	f.isRestored = false
	return nil
}

// checkEmpty returns an error if etcd has lost all addresses, unless the configuration allows that.
func (f *follower) checkEmpty(count int) error {
	if count > 0 || f.count == 0 || f.config.AllowEmpty {
		return nil
	}
	return fmt.Errorf("etcd has no key that begins with %s, but had %d; the allocations that were known stay in force: restore "+
		"the keys, or set store.etcd.allow_empty and start arpfabric again", f.keys.addresses(), f.count)
}

// take delivers what a watch has received.
func (f *follower) take(resp clientv3.WatchResponse) error {
	if err := resp.Err(); err != nil {
		if resp.CompactRevision > 0 { // what happened since is lost, so read everything
			f.revision = 0
		}
		return err
	}
	if len(resp.Events) == 0 {
		return nil
	}
	u, count := update{revision: resp.Header.Revision}, f.count
	for _, e := range resp.Events {
		u.revision = max(u.revision, e.Kv.ModRevision)
		switch {
		case e.IsCreate():
			count++
		case e.Type == clientv3.EventTypeDelete:
			count--
		}
		one, err := f.parse(e)
		if err != nil {
			f.log.Error("a change in etcd has no effect", "error", err)
			continue
		}
		u.events = append(u.events, one)
	}
	if err := f.checkEmpty(count); err != nil {
		f.revision = 0 // until somebody restores them
		return err
	}
	f.count, f.revision = count, u.revision
	f.deliver(u)
	return nil
}

func (f *follower) parse(e *clientv3.Event) (event, error) {
	if e.Type != clientv3.EventTypeDelete {
		c, err := f.keys.parseState(string(e.Kv.Key), string(e.Kv.Value), e.Kv.ModRevision)
		c.At = now() // an address is held from now on, whatever the time at the host that has freed it
		return event{Change: c}, err
	}
	at, err := f.keys.parseAddress(string(e.Kv.Key))
	gone := store.Allocation{Network: at.Network, Address: at.Addr, Revision: uint64(e.Kv.ModRevision)}
	return event{Change: store.Change{Allocation: gone}, isDeleted: true}, err
}

// now returns the time in whole seconds, as changes have it.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }

func (f *follower) deliver(u update) {
	f.inbox.add(u)
	f.notify()
}

// check checks at intervals, until ctx ends, that most members answer, and have what was read before. It also deletes
// what is too old of the history.
func (f *follower) check(ctx context.Context) <-chan error {
	results, cluster := make(chan error), f.cluster
	go func() {
		cleaned := time.Now()
		for {
			select {
			case <-time.After(jitter(checkInterval)):
			case <-ctx.Done():
				return
			}
			err := f.probe(ctx, cluster)
			if err == nil && time.Since(cleaned) > jitter(historyInterval) {
				f.cleanHistory(ctx)
				cleaned = time.Now()
			}
			select {
			case results <- err:
			case <-ctx.Done():
				return
			}
		}
	}()
	return results
}

func (f *follower) probe(ctx context.Context, cluster uint64) error {
	known := f.inbox.last()
	resp, err := get(ctx, f.client, patience, f.keys.addresses()) // this key does not exist
	if err == nil && (resp.Header.Revision < known || resp.Header.ClusterId != cluster) {
		return errStale
	}
	return err
}

// cleanHistory deletes the changes that are too old, network by network. It keeps the last ones, because the clock may be wrong
// here, or where a change was made. If that fails, the next time will do.
func (f *follower) cleanHistory(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	end := clientv3.GetPrefixRangeEnd(f.keys.history(""))
	for key := f.keys.history(""); ; {
		first, err := f.client.Get(ctx, key, clientv3.WithRange(end), clientv3.WithKeysOnly(), clientv3.WithLimit(1))
		if err != nil || len(first.Kvs) == 0 {
			return
		}
		network, _, _ := strings.Cut(strings.TrimPrefix(string(first.Kvs[0].Key), f.keys.history("")), "/")
		last, err := f.client.Get(ctx, f.keys.history(network), clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(historyLeast),
			clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortDescend))
		if err != nil {
			return
		}
		before := f.keys.historyBefore(network, time.Now().Add(-historyKept))
		for _, kv := range last.Kvs {
			before = min(before, string(kv.Key))
		}
		if _, err := f.client.Delete(ctx, f.keys.history(network), clientv3.WithRange(before)); err != nil {
			return
		}
		key = clientv3.GetPrefixRangeEnd(f.keys.history(network))
	}
}
