package fabric

import (
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// holders are the MACs that have taken over an address which moves between several, by the address. They are never changed,
// only replaced.
type holders map[netip.Addr]registry.MAC

// apply returns the registry in which they hold their addresses, and those of them that it knows as candidates.
func (h holders) apply(r *registry.Registry) (*registry.Registry, holders, error) {
	var remove, add []registry.Binding
	kept := holders{}
	for addr, mac := range h {
		b, ok := r.Lookup(addr)
		if !ok || !b.Candidates.Contains(mac) {
			continue
		}
		kept[addr] = mac
		if b.MAC == mac {
			continue
		}
		// Of a range, the one address becomes a binding of its own: each address has its own holder.
		if b.First == b.Last {
			remove = append(remove, b)
		}
		b.First, b.Last, b.MAC = addr, addr, mac
		add = append(add, b)
	}
	if len(add) == 0 {
		return r, kept, nil
	}
	edited, err := r.Edit(remove, add)
	return edited, kept, err
}

// takeoverPause is the least time between two changes of holders: two guests that both announce one address all the time
// are not to keep the loop busy.
const takeoverPause = 50 * time.Millisecond

// takeovers are the announcements of new holders that the loop has not applied yet.
type takeovers struct {
	due chan struct{} // has a value when it is time to apply them

	mu      sync.Mutex
	waiting map[*network]holders // nil if none are
	taken   time.Time            // when the last ones were taken
}

func newTakeovers() *takeovers { return &takeovers{due: make(chan struct{}, 1)} }

// add adds an announcement.
func (t *takeovers) add(n *network, id responder.SenderIdentity) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting == nil {
		t.waiting = map[*network]holders{}
		time.AfterFunc(takeoverPause-time.Since(t.taken), func() { t.due <- struct{}{} })
	}
	if t.waiting[n] == nil {
		t.waiting[n] = holders{}
	}
	t.waiting[n][id.Sender] = id.MAC
}

// take returns the announcements, and forgets them.
func (t *takeovers) take() map[*network]holders {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.waiting
	t.waiting, t.taken = nil, time.Now()
	return all
}

// applyTakeovers makes the senders of announcements the holders of their addresses.
func (f *Fabric) applyTakeovers() {
	for n, announced := range f.takeovers.take() {
		if !f.runs(n) {
			continue // a reload has detached it since
		}
		next := maps.Clone(n.holders)
		if next == nil {
			next = holders{}
		}
		maps.Copy(next, announced)
		before := n.config().Registry
		if err := f.hold(n, before, next); err != nil {
			f.log.Error("cannot change the holder of an address", "network", n.config().Name, "error", err)
			continue
		}
		for addr, mac := range announced {
			if b, _ := before.Lookup(addr); b.MAC != mac {
				f.log.Info("another guest holds the address now", "network", n.config().Name, "address", addr, "mac", mac.String())
			}
		}
	}
}

// hold puts a registry in force in which the addresses have these holders.
func (f *Fabric) hold(n *network, r *registry.Registry, h holders) error {
	r, kept, err := h.apply(r)
	if err != nil {
		return err
	}
	if r != n.config().Registry { // most announcements are by the present holder
		if err := f.putInForce(n, r); err != nil {
			return err
		}
	}
	n.holders = kept
	return nil
}
