package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"

	"github.com/arpfabric/arpfabric/internal/allocate"
	"github.com/arpfabric/arpfabric/internal/store"
)

// The methods in this file are for a store that other hosts change, too.

// changed returns a channel that receives when others have changed the store, or nil if there are no others.
func (a *allocations) changed() <-chan struct{} {
	if a.shared == nil {
		return nil
	}
	return a.shared.Changed()
}

// health returns the state of the shared store, or nil if there is none.
func (a *allocations) health() *store.Health {
	if a.shared == nil {
		return nil
	}
	h := a.shared.Health()
	return &h
}

// receive puts in force what others have changed.
func (a *allocations) receive(ctx context.Context) {
	if a.shared == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.receiveChanges(ctx)
}

// receiveChanges is receive for a caller that holds the lock.
func (a *allocations) receiveChanges(ctx context.Context) {
	defer a.summarize()
	touched := append(a.retried, a.shared.Receive()...)
	a.retried = nil
	if len(touched) == 0 {
		return
	}
	before := map[string]map[netip.Addr]outsideBinding{}
	for network, outside := range a.outside {
		before[network] = maps.Clone(outside)
	}
	if err := a.putAddressesInForce(ctx, touched); err != nil {
		a.retried = touched
		a.log.Error("changes of other hosts cannot be put in force; trying again", "addresses", len(touched), "error", err)
		return
	}
	a.logOutside(before)
}

// mostConflicts is how often a change is decided again because other hosts change the same.
const mostConflicts = 20

// makeShared makes a change in a shared store. If another host was faster, it decides again.
func (a *allocations) makeShared(ctx context.Context, c *change) changeResult {
	for range mostConflicts {
		a.receiveChanges(ctx)
		next, isChange, err := a.decide(c, nil, a.clock.Now())
		if err != nil {
			return changeResult{err: err}
		}
		if !isChange {
			current, _ := a.store.Table().Get(c.network, next.Address)
			return changeResult{Allocation: current}
		}
		changes := []store.Change{next}
		if err := a.commit(ctx, changes); !errors.Is(err, store.ErrConflict) {
			return changeResult{changes[0].Allocation, err}
		}
	}
	return changeResult{err: &allocate.Refusal{Cause: allocate.Changed, Text: fmt.Sprintf("other hosts have changed the same %d times "+
		"while this was decided; try again", mostConflicts)}}
}

// reportCommit reports an error of Commit, unless it is one that the shared store has reported, or none.
func (a *allocations) reportCommit(err error) {
	isNormal := errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrReadOnly)
	if a.shared != nil && err != nil && (isNormal || a.shared.Health().Err != nil) {
		return
	}
	a.report(err)
}
