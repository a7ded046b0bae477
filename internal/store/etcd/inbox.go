package etcd

import (
	"context"
	"sync"

	"github.com/arpfabric/arpfabric/internal/store"
)

// An inbox has what etcd has sent, and the table does not have yet. The follower fills it.
type inbox struct {
	mu       sync.Mutex
	updates  []update
	revision int64         // of the last update
	grown    chan struct{} // closed at the next update
}

// An update is what has happened in etcd up to a revision.
type update struct {
	revision int64
	all      *store.Table // if not nil, everything that etcd has
	events   []event      // else the changed addresses

	isRestored bool // all is older than what was read before
}

// An event is a changed address.
type event struct {
	store.Change
	isDeleted bool // somebody has deleted the key
}

func newInbox() *inbox { return &inbox{grown: make(chan struct{})} }

func (i *inbox) add(u update) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.updates, i.revision = append(i.updates, u), u.revision
	close(i.grown)
	i.grown = make(chan struct{})
}

// last returns the revision of the last update.
func (i *inbox) last() int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.revision
}

func (i *inbox) take() []update {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := i.updates
	i.updates = nil
	return all
}

// wait waits until the inbox has got the updates up to a revision, or ctx ends.
func (i *inbox) wait(ctx context.Context, revision int64) {
	for {
		i.mu.Lock()
		has, grown := i.revision >= revision, i.grown
		i.mu.Unlock()
		if has {
			return
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return
		}
	}
}
