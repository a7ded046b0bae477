package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/store"
	"github.com/arpfabric/arpfabric/internal/store/etcd"
)

// Export writes all allocations of a store. If that is a folder, no arpfabric may be running on it.
func Export(ctx context.Context, c config.Store, w io.Writer) error {
	if c.Etcd == nil && c.Folder != "" && !store.Exists(c.Folder) { // and it is not made for this
		return store.NewTable().WriteText(w)
	}
	t, err := openTarget(ctx, c)
	if err != nil {
		return err
	}
	defer t.Close()
	return t.Table().WriteText(w)
}

// Import adds allocations to a store, and returns their number. It leaves out those that are there already. If any
// contradicts what is there, it changes nothing, and the error has all contradictions.
func Import(ctx context.Context, c config.Store, r io.Reader) (n int, err error) {
	incoming, problems, err := store.ReadText(r)
	if err != nil {
		return 0, err
	}
	if len(problems) > 0 {
		return 0, fmt.Errorf("nothing was imported:\nline %s", strings.Join(problems, "\nline "))
	}
	t, err := openTarget(ctx, c)
	if err != nil {
		return 0, err
	}
	changes, problems := missing(t.Table(), incoming, time.Now().Truncate(time.Second))
	if len(problems) > 0 {
		return 0, errors.Join(fmt.Errorf("nothing was imported:\n%s", strings.Join(problems, "\n")), t.Close())
	}
	for some := range slices.Chunk(changes, t.most) {
		if err := t.add(some); err != nil {
			return n, errors.Join(fmt.Errorf("after %d of %d allocations and held addresses: %w", n, len(changes), err), t.Close())
		}
		n += len(some)
	}
	return n, t.Close()
}

// A target is a store that is open for an import or an export.
type target struct {
	io.Closer
	table func() *store.Table
	most  int // changes that add takes at once
	add   func([]store.Change) error
}

func (t *target) Table() *store.Table { return t.table() }

func openTarget(ctx context.Context, c config.Store) (*target, error) {
	switch {
	case c.Etcd != nil:
		d, err := etcd.Connect(ctx, c.Etcd)
		if err != nil {
			return nil, err
		}
		return &target{d, d.Table, etcd.MostAdded, func(changes []store.Change) error { return d.Add(ctx, changes) }}, nil
	case c.Folder == "":
		return nil, errors.New("the configuration has store.folder: off, so there is no store")
	}
	f, err := store.Open(c.Folder)
	if err != nil {
		return nil, fmt.Errorf("%w (stop arpfabric for this)", err)
	}
	if problems := f.Problems(); len(problems) > 0 {
		return nil, errors.Join(fmt.Errorf("repair these lines first:\n%s", strings.Join(problems, "\n")), f.Close())
	}
	return &target{f, f.Table, 1000, f.Commit}, nil
}

// missing returns the changes that add to a table what incoming has, and what contradicts it.
func missing(now, incoming *store.Table, at time.Time) (changes []store.Change, problems []string) {
	by := store.Caller{UID: uint32(os.Getuid()), PID: int32(os.Getpid())}
	for _, network := range incoming.Networks() {
		for one := range incoming.All(network) {
			before, exists := now.Get(network, one.Address)
			one.Revision, before.Revision = 0, 0
			named, isNamed := now.Named(network, one.Name)
			switch {
			case exists && before == one:
			case exists:
				problems = append(problems, fmt.Sprintf("%s of network %s is allocated to %s already, not to %s", one.Address, network,
					before.MAC, one.MAC))
			case isNamed && one.Name != "":
				problems = append(problems, fmt.Sprintf("the name %s of network %s has %s already, not %s", one.Name, network,
					named.Address, one.Address))
			default:
				changes = append(changes, store.Change{Kind: store.Allocate, Allocation: one, At: at, By: by})
			}
		}
	}
	for held := range incoming.AllHeld() {
		_, isHeld := now.Held(held.Network, held.Address)
		if _, exists := now.Get(held.Network, held.Address); !exists && !isHeld {
			changes = append(changes, held)
		}
	}
	return changes, problems
}
