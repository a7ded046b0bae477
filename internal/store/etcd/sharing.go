package etcd

import (
	"context"
	"errors"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// A sharing is the claims with one lease.
type sharing struct {
	*Claims
	client *clientv3.Client
	lease  clientv3.LeaseID
}

var errLease = errors.New("this host's lease has ended")

// loop takes over what others claim, and writes this host's claims, until an error. If ctx ends, the lease is revoked.
func (s *sharing) loop(
	ctx context.Context, alive <-chan *clientv3.LeaseKeepAliveResponse, events, hosts clientv3.WatchChan,
) error {
	if err := s.write(ctx); err != nil {
		return err
	}
	for {
		select {
		case _, ok := <-alive:
			if !ok {
				return errLease
			}
			continue
		case resp, ok := <-events:
			if !ok || resp.Err() != nil {
				return errors.Join(errWatchEnded, resp.Err())
			}
			s.take(resp.Events)
		case resp, ok := <-hosts:
			if !ok || resp.Err() != nil {
				return errors.Join(errWatchEnded, resp.Err())
			}
			if err := s.checkTwin(ctx, resp.Events); err != nil {
				return err
			}
			continue
		case <-s.publish:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := s.write(ctx); err != nil {
			return err
		}
	}
}

// take takes over changes of claims.
func (s *sharing) take(events []*clientv3.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range events {
		if e.Type == clientv3.EventTypeDelete {
			if guest, _, err := s.keys.parseClaim(string(e.Kv.Key), "- 0.0.0.0"); err == nil {
				delete(s.all, guest)
			}
			continue
		}
		guest, one, err := s.keys.parseClaim(string(e.Kv.Key), string(e.Kv.Value))
		if err != nil {
			continue // somebody has written it by hand
		}
		one.Revision, one.lease = uint64(e.Kv.ModRevision), clientv3.LeaseID(e.Kv.Lease)
		s.noteMove(guest, s.all[guest].Host, one.Host)
		s.all[guest] = one
	}
	notify(s.changed)
}

// noteMove counts a move of a guest, if it is one, and logs when there are too many.
func (c *Claims) noteMove(guest Guest, from, to string) {
	if from == "" || from == to {
		return
	}
	m := c.moves[guest]
	if time.Since(m.since) > movesPeriod {
		m = moves{since: time.Now()}
	}
	m.number++
	m.hosts = [2]string{min(from, to), max(from, to)}
	c.moves[guest] = m
	if m.number == mostMoves+1 {
		c.log.Warn("two hosts have guests with the same MAC; give one of them another MAC", "network", guest.Network, "mac", guest.MAC,
			"hosts", m.hosts)
	}
	for other, m := range c.moves { // guests that moved once are forgotten
		if time.Since(m.since) > 2*movesPeriod {
			delete(c.moves, other)
		}
	}
}

// checkTwin notices another fabric that has this host's name, and its end.
func (s *sharing) checkTwin(ctx context.Context, events []*clientv3.Event) error {
	for _, e := range events {
		isMine := e.Type == clientv3.EventTypeDelete || string(e.Kv.Value) == s.instance
		s.mu.Lock()
		before := s.twin
		s.twin = ""
		if !isMine {
			s.twin = string(e.Kv.Value)
		}
		now := s.twin
		s.mu.Unlock()
		if now != "" && now != before {
			s.log.Error("another arpfabric has the name of this host in etcd; give each a name of its own in store.etcd.host",
				"host", s.config.Host, "other", now)
		}
		if e.Type == clientv3.EventTypeDelete {
			if _, err := s.client.Put(ctx, s.keys.host(s.config.Host), s.instance, clientv3.WithLease(s.lease)); err != nil {
				return err
			}
		}
	}
	notify(s.changed)
	return nil
}

// mostWrites is the number of keys that are written at once.
const mostWrites = 60

// A write changes one claim, if nobody else has changed it meanwhile.
type write struct {
	condition clientv3.Cmp
	op        clientv3.Op
}

// write brings etcd in line with this host's claims.
func (s *sharing) write(ctx context.Context) error {
	for writes := range slices.Chunk(s.missing(), mostWrites) {
		failed, err := s.try(ctx, writes)
		if err != nil {
			return err
		}
		if !failed {
			continue
		}
		for i := range writes { // one by one; those that fail are overtaken by an event
			if _, err := s.try(ctx, writes[i:i+1]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *sharing) try(ctx context.Context, writes []write) (failed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var conditions []clientv3.Cmp
	var ops []clientv3.Op
	for _, w := range writes {
		conditions, ops = append(conditions, w.condition), append(ops, w.op)
	}
	resp, err := s.client.Txn(ctx).If(conditions...).Then(ops...).Commit()
	if err != nil {
		return false, err
	}
	return !resp.Succeeded, nil
}

// missing returns the writes that etcd lacks: claims of this host that are not there or have another lease, and claims that
// this host has no longer. A claim of another host stays, unless the guest was seen here since.
func (s *sharing) missing() (writes []write) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own == nil { // not known yet; an earlier process may have left claims that are right
		return nil
	}
	for guest, own := range s.own {
		now, exists := s.all[guest]
		isMine := exists && now.Host == s.config.Host
		if isMine && now.lease == s.lease && now.Tunnel == own.Tunnel || exists && !isMine && now.Revision > own.Overrules {
			continue
		}
		key := s.keys.claim(guest)
		writes = append(writes, write{
			clientv3.Compare(clientv3.ModRevision(key), "=", int64(now.Revision)),
			clientv3.OpPut(key, formatClaim(s.config.Host, own.Tunnel), clientv3.WithLease(s.lease)),
		})
	}
	for guest, now := range s.all {
		if _, ok := s.own[guest]; !ok && now.Host == s.config.Host {
			key := s.keys.claim(guest)
			writes = append(writes, write{clientv3.Compare(clientv3.ModRevision(key), "=", int64(now.Revision)), clientv3.OpDelete(key)})
		}
	}
	return writes
}
