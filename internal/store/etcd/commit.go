package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/arpfabric/arpfabric/internal/store"
	"github.com/arpfabric/arpfabric/responder/registry"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Commit implements [store.Store].
func (s *Store) Commit(changes []store.Change) error {
	if len(changes) != 1 {
		return fmt.Errorf("etcd: %d changes in one transaction", len(changes)) // each has a revision of its own
	}
	client, err := s.usable()
	if err != nil {
		return err
	}
	c := &changes[0]
	t := s.transaction(*c)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	resp, err := client.Txn(ctx).If(t.conditions...).Then(t.puts...).Else(t.reads...).Commit()
	var revision int64
	switch {
	case isDenied(err):
		return explainChange(err, s.config)
	case err != nil:
		if revision, err = s.settle(client, t, err); err != nil {
			return err
		}
	case !resp.Succeeded:
		s.inbox.wait(ctx, newest(resp))
		s.drain()
		return store.ErrConflict
	default:
		revision = resp.Header.Revision
	}
	c.Revision = uint64(revision)
	s.table.Apply(*c)
	s.own = revision
	// The next decision needs a table without gaps before this change.
	s.inbox.wait(ctx, revision)
	s.drain()
	return nil
}

// A transaction makes a change if nothing that it depends on is newer than the table.
type transaction struct {
	attempt    string // the key in the history, which only this transaction writes
	conditions []clientv3.Cmp
	puts       []clientv3.Op
	reads      []clientv3.Op // the keys of the conditions
}

func (s *Store) transaction(c store.Change) *transaction {
	t := &transaction{attempt: s.keys.change(c.Network, s.config.Host, time.Now())}
	t.ifAbsent(t.attempt)
	address := s.keys.address(c.Network, c.Address)
	t.ifNotAfter(s.applied, address)
	before := store.Allocation{}
	switch c.Kind {
	case store.Modify:
		before = *c.Before
		t.ifPresent(address)
	case store.Free, store.Expire:
		before = c.Allocation
		t.ifPresent(address)
	}
	if c.Kind == store.Free || c.Kind == store.Expire {
		t.index(s, c.Network, c.Address, before, store.Allocation{})
	} else {
		t.index(s, c.Network, c.Address, before, c.Allocation)
	}
	t.puts = append(t.puts, clientv3.OpPut(address, store.FormatState(c)), clientv3.OpPut(t.attempt, store.FormatChange(c)))
	return t
}

// index changes the keys of an allocation's MAC and name.
func (t *transaction) index(s *Store, network string, addr netip.Addr, before, after store.Allocation) {
	if before.MAC != after.MAC {
		if before.MAC != (registry.MAC{}) {
			t.puts = append(t.puts, clientv3.OpDelete(s.keys.mac(network, before.MAC)+addr.String()))
		}
		if after.MAC != (registry.MAC{}) {
			t.ifNotAfter(s.applied, s.keys.mac(network, after.MAC), clientv3.WithPrefix())
			t.puts = append(t.puts, clientv3.OpPut(s.keys.mac(network, after.MAC)+addr.String(), addr.String()))
		}
	}
	if before.Name != after.Name {
		if before.Name != "" {
			t.puts = append(t.puts, clientv3.OpDelete(s.keys.name(network, before.Name)))
		}
		if after.Name != "" {
			t.ifNotAfter(s.applied, s.keys.name(network, after.Name))
			t.puts = append(t.puts, clientv3.OpPut(s.keys.name(network, after.Name), addr.String()))
		}
	}
}

func (t *transaction) ifAbsent(key string) {
	t.conditions = append(t.conditions, clientv3.Compare(clientv3.CreateRevision(key), "=", 0))
}

func (t *transaction) ifPresent(key string) {
	t.conditions = append(t.conditions, clientv3.Compare(clientv3.CreateRevision(key), ">", 0))
}

// ifNotAfter adds the condition that no key is newer than a revision.
func (t *transaction) ifNotAfter(revision int64, key string, opts ...clientv3.OpOption) {
	condition := clientv3.Compare(clientv3.ModRevision(key), "<", revision+1)
	if len(opts) > 0 {
		condition = condition.WithPrefix()
	}
	t.conditions = append(t.conditions, condition)
	t.reads = append(t.reads, clientv3.OpGet(key, append(opts, clientv3.WithKeysOnly())...))
}

// newest returns the newest revision of the keys that a transaction has read because it failed.
func newest(resp *clientv3.TxnResponse) (revision int64) {
	for _, r := range resp.Responses {
		for _, kv := range r.GetResponseRange().GetKvs() {
			revision = max(revision, kv.ModRevision)
		}
	}
	return revision
}

// settle finds out whether a transaction has happened that failed with an error: etcd may have made the change, and only
// the answer was lost. It takes the transaction's key in the history, which that needs: then it can't happen any more.
func (s *Store) settle(client *clientv3.Client, t *transaction, failure error) (revision int64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), settling)
	defer cancel()
	isFull := errors.Is(rpctypes.Error(failure), rpctypes.ErrNoSpace)
	failure = explain(failure, s.config)
	if isFull { // no key can be taken, but etcd has answered, so nothing can happen any more
		resp, err := client.Get(ctx, t.attempt)
		switch {
		case err != nil:
			return 0, errors.Join(errUnknown, failure)
		case len(resp.Kvs) == 0:
			return 0, failure
		}
		return resp.Kvs[0].ModRevision, nil
	}
	for {
		resp, err := client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(t.attempt), "=", 0)).
			Then(clientv3.OpPut(t.attempt, withdrawn)).Else(clientv3.OpGet(t.attempt)).Commit()
		switch {
		case err == nil && resp.Succeeded:
			return 0, failure
		case err == nil:
			kv := resp.Responses[0].GetResponseRange().Kvs[0]
			if string(kv.Value) == withdrawn {
				return 0, failure
			}
			return kv.ModRevision, nil
		case ctx.Err() != nil:
			s.setHealth(failure)
			return 0, errors.Join(errUnknown, failure)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// settling is how long settle waits for etcd. With the patience of the transaction before, it is shorter than a client of the
// API waits for an answer, so that the client gets the cause.
const settling = 3 * time.Second

// withdrawn is the value of a change in the history that never happened.
const withdrawn = "# withdrawn"

var errUnknown = errors.New("etcd has not confirmed the change; once it is back, `arpfabric bindings` shows whether it was made")

// History implements [store.Store].
func (s *Store) History(q store.HistoryQuery) ([]store.Change, error) {
	client, err := s.usable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	opts := []clientv3.OpOption{
		clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortDescend), clientv3.WithLimit(int64(q.Limit)),
	}
	if q.Before > 0 {
		opts = append(opts, clientv3.WithMaxModRev(int64(q.Before)-1))
	}
	resp, err := client.Get(ctx, s.keys.history(q.Network), opts...)
	if err != nil {
		return nil, explain(err, s.config)
	}
	found := make([]store.Change, 0, len(resp.Kvs))
	for i := range resp.Kvs {
		kv := resp.Kvs[len(resp.Kvs)-1-i]
		if string(kv.Value) == withdrawn {
			continue
		}
		c, err := store.ParseChange(string(kv.Value))
		if err != nil {
			continue // an operator has written it
		}
		c.Revision = uint64(kv.ModRevision)
		found = append(found, c)
	}
	return found, nil
}
