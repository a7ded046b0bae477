package allocate

import (
	"net/netip"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/store"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// A Request asks for an allocation.
type Request struct {
	Address netip.Addr   // the zero Addr for any
	From    config.Range // of an address that is not given; the zero Range for the network's
	MAC     registry.MAC // the zero MAC for a new one, or for the one that the address has
	Name    string
	Port    string
	Expires time.Time // in whole seconds; the zero Time for never
	Caller  store.Caller
	Precondition
}

// A Precondition says what a caller expects of an address.
type Precondition struct {
	Absent   bool   // it is not allocated
	Revision uint64 // its allocation has this revision; 0 for any, or none
}

func (p Precondition) check(a store.Allocation, exists bool) error {
	switch {
	case p.Absent && exists:
		return refuse(Changed, "%s is allocated already, with revision %d", a.Address, a.Revision)
	case p.Revision != 0 && !exists:
		return refuse(Changed, "the address is not allocated any more; it was expected with revision %d", p.Revision)
	case p.Revision != 0 && p.Revision != a.Revision:
		return refuse(Changed, "%s has revision %d, not %d: somebody has changed it", a.Address, a.Revision, p.Revision)
	}
	return nil
}

// Allocate decides about a request for an address that is not allocated.
func (s *State) Allocate(r Request) (store.Change, error) {
	if err := s.check(r); err != nil {
		return store.Change{}, err
	}
	if r.Address.IsValid() {
		if a, ok := s.get(r.Address); ok {
			return store.Change{}, refuse(Taken, "%s is allocated already, to %s (%s)", a.Address, owner(a), a.Binding().Origin)
		}
		return s.allocateAt(r)
	}
	in, err := s.pool(r.From)
	if err != nil {
		return store.Change{}, err
	}
	addr, ok := s.next(in)
	if !ok {
		return store.Change{}, refuse(Exhausted, "no address of %s in network %s is free: each is bound, reserved, the host's own, or held "+
			"for %v after it was freed", in, s.Network.Name, s.Network.Allocation.Hold)
	}
	r.Address = addr
	return s.allocateAt(r)
}

// Put decides about a request for an allocation with an address as the request has it. It returns false if the address
// has such an allocation already.
func (s *State) Put(r Request) (c store.Change, isChange bool, err error) {
	if err := s.checkNetwork(); err != nil {
		return c, false, err
	}
	before, exists := s.get(r.Address)
	if err := r.Precondition.check(before, exists); err != nil {
		return c, false, err
	}
	if !exists {
		if err := s.check(r); err != nil {
			return c, false, err
		}
		c, err = s.allocateAt(r)
		return c, err == nil, err
	}
	if r.MAC == (registry.MAC{}) {
		r.MAC = before.MAC
	}
	if r.Name != before.Name {
		if err := s.checkName(r.Name); err != nil {
			return c, false, err
		}
	}
	if err := s.checkPort(r.Port); err != nil {
		return c, false, err
	}
	after := s.allocation(r)
	if err := after.Check(); err != nil {
		return c, false, refuse(Invalid, "%s", err)
	}
	before.Revision, after.Revision = 0, 0
	c = store.Change{Kind: store.Modify, Allocation: after, Before: &before, At: s.now(), By: r.Caller}
	return c, after != before, nil
}

// Release decides about a request to free an address.
func (s *State) Release(addr netip.Addr, p Precondition, by store.Caller) (store.Change, error) {
	a, ok := s.get(addr)
	switch err := p.check(a, ok); {
	case err != nil:
		return store.Change{}, err
	case ok:
		return store.Change{Kind: store.Free, Allocation: a, At: s.now(), By: by}, nil
	}
	if b, ok := s.File.Lookup(addr); ok {
		return store.Change{}, refuse(Taken, "%s is bound in %s; remove it there", addr, b.Origin)
	}
	return store.Change{}, refuse(Missing, "%s is not allocated in network %s", addr, s.Network.Name)
}

// Expire returns the change for an allocation that has expired.
func Expire(a store.Allocation, now time.Time) store.Change {
	return store.Change{Kind: store.Expire, Allocation: a, At: now.Truncate(time.Second)}
}

func (s *State) now() time.Time { return s.Now.Truncate(time.Second) }

// check checks what can be checked without knowing the address.
func (s *State) check(r Request) error {
	if err := s.checkNetwork(); err != nil {
		return err
	}
	if err := s.checkName(r.Name); err != nil {
		return err
	}
	if !r.Expires.IsZero() && !r.Expires.After(s.Now) {
		return refuse(Invalid, "it would have expired already, at %s", r.Expires.Format(time.RFC3339))
	}
	return s.checkPort(r.Port)
}

// checkNetwork returns an error if nothing can be allocated in the network.
func (s *State) checkNetwork() error {
	if s.IsRemoved {
		return refuse(Missing, "there is no network %s; what was allocated there can only be freed", s.Network.Name)
	}
	return nil
}

func (s *State) checkName(name string) error {
	if name == "" {
		return nil
	}
	if err := store.CheckName(name); err != nil {
		return refuse(Invalid, "%s", err)
	}
	if a, ok := s.named(name); ok {
		return refuse(Taken, "the name %s has %s in network %s already (%s); names are unique among allocations", name,
			a.Address, a.Network, a.Binding().Origin)
	}
	return nil
}

func (s *State) checkPort(port string) error {
	if port == "" {
		return nil
	}
	if err := s.Network.CheckPort(port); err != nil {
		return refuse(Invalid, "%s", err)
	}
	return nil
}

// allocateAt allocates the address of the request, which has no allocation.
func (s *State) allocateAt(r Request) (store.Change, error) {
	if err := s.checkAddress(&r); err != nil {
		return store.Change{}, err
	}
	if r.MAC == (registry.MAC{}) {
		mac, err := s.newMAC(r.Address)
		if err != nil {
			return store.Change{}, err
		}
		r.MAC = mac
	}
	a := s.allocation(r)
	if err := a.Check(); err != nil {
		return store.Change{}, refuse(Invalid, "%s", err)
	}
	return store.Change{Kind: store.Allocate, Allocation: a, At: s.now(), By: r.Caller}, nil
}

// checkAddress checks the address of a request. If that is held, it can go back to its last owner only: a request
// without a MAC gets the same one.
func (s *State) checkAddress(r *Request) error {
	if err := s.Network.CheckAddress(r.Address); err != nil {
		return refuse(Invalid, "%s", err)
	}
	if b, ok := s.File.Lookup(r.Address); ok {
		return refuse(Taken, "%s is bound to %s in %s; change it there", r.Address, b.MAC, b.Origin)
	}
	for _, reserved := range s.Network.Allocation.Reserved {
		if reserved.Contains(r.Address) {
			return refuse(Taken, "%s is reserved by networks.%s.allocation.reserved (%s)", r.Address, s.Network.Name, reserved)
		}
	}
	if slices.Contains(s.Host.Addresses, r.Address) && r.MAC != s.Host.MAC {
		return refuse(Taken, "%s is this host's own address, on %s; to bind it to the host, give the MAC %s", r.Address,
			s.Host.Interface, s.Host.MAC)
	}
	held, isHeld := s.held(r.Address)
	switch {
	case !isHeld:
	case r.MAC == (registry.MAC{}):
		r.MAC = held.MAC
	case r.MAC != held.MAC:
		return refuse(Taken, "%s is held for %s until %s, because it was freed at %s; wait, or ask for it with that MAC",
			r.Address, held.MAC, s.heldUntil(held.Since).Format(time.RFC3339), held.Since.Format(time.RFC3339))
	}
	return nil
}

func (s *State) allocation(r Request) store.Allocation {
	a := store.Allocation{Network: s.Network.Name, Address: r.Address, MAC: r.MAC, Name: r.Name, Port: r.Port}
	if !r.Expires.IsZero() {
		a.Expires = time.Unix(r.Expires.Unix(), 0).UTC() // as the table has it
	}
	return a
}

// owner returns the name of an allocation's owner, or the MAC if it has none.
func owner(a store.Allocation) string {
	if a.Name != "" {
		return a.Name
	}
	return a.MAC.String()
}
