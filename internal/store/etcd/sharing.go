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

// loop takes over what others claim, and writes this host's claims, until an error, or until ctx ends.
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
		guest, one, err := s.keys.parseClaim(e.Kv)
		if err != nil {
			continue // somebody has written it by hand
		}
		before := latest(s.all[guest])
		claims := slices.DeleteFunc(s.all[guest], func(other Claim) bool { return other.Host == one.Host })
		if e.Type != clientv3.EventTypeDelete {
			one.isOwn = one.Host == s.config.Host && one.lease == s.lease
			claims = append(claims, one)
		}
		s.noteMove(guest, before.Host, latest(claims).Host)
		if s.all[guest] = claims; len(claims) == 0 {
			delete(s.all, guest)
		}
	}
	notify(s.changed)
}

// noteMove counts a move of a guest, if it is one, and logs when there are too many.
func (c *Claims) noteMove(guest Guest, from, to string) {
	if from == "" || to == "" || from == to {
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

// mostWrites is the number of keys that are written at once: etcd takes 128 operations, and as many conditions.
const mostWrites = 60

// A write changes one claim of this host, if nobody has changed meanwhile what it depends on.
type write struct {
	conditions []clientv3.Cmp
	op         clientv3.Op
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
		conditions, ops = append(conditions, w.conditions...), append(ops, w.op)
	}
	resp, err := s.client.Txn(ctx).If(conditions...).Then(ops...).Commit()
	if err != nil {
		return false, err
	}
	return !resp.Succeeded, nil
}

// missing returns the writes that etcd lacks: claims of this host that are not there or have another lease, and claims that
// this host has no longer. Where another claim is right, nothing is written, unless the guest was seen here since.
func (s *sharing) missing() (writes []write) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own == nil { // not known yet; an earlier process may have left claims that are right
		return nil
	}
	for guest, own := range s.own {
		before, right := s.atKey(guest), latest(s.all[guest])
		isDone := right.isOwn && right.lease == s.lease && right.Tunnel == own.Tunnel
		if isDone || !right.isOwn && right.Revision > own.Overrules {
			continue
		}
		w := write{
			[]clientv3.Cmp{s.isUnchanged(guest, before)},
			clientv3.OpPut(s.keys.claim(s.config.Host, guest), own.Tunnel.String(), clientv3.WithLease(s.lease)),
		}
		if right.Host != "" && right != before {
			w.conditions = append(w.conditions, s.isUnchanged(guest, right))
		}
		writes = append(writes, w)
	}
	for guest := range s.all {
		before := s.atKey(guest)
		if _, isHere := s.own[guest]; before.isOwn && !isHere {
			writes = append(writes, write{
				[]clientv3.Cmp{s.isUnchanged(guest, before)}, clientv3.OpDelete(s.keys.claim(s.config.Host, guest)),
			})
		}
	}
	return writes
}

// atKey returns the claim at this host's key for a guest. It may be one of another fabric with this host's name.
func (s *sharing) atKey(guest Guest) Claim {
	for _, one := range s.all[guest] {
		if one.Host == s.config.Host {
			return one
		}
	}
	return Claim{Host: s.config.Host}
}

func (s *sharing) isUnchanged(guest Guest, c Claim) clientv3.Cmp {
	return clientv3.Compare(clientv3.ModRevision(s.keys.claim(c.Host, guest)), "=", int64(c.Revision))
}
