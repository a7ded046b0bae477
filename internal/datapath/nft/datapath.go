package nft

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/watch"
	"github.com/arpfabric/arpfabric/internal/wire"
)

// Datapath is the [datapath.Datapath] of nftables and NFLOG.
type Datapath struct {
	mark     uint32 // mark of the answers, by which a sidecar's rules let them leave
	bridges  *BridgeTable
	sidecars *SidecarTable

	settings settings
	fdb      fdb
	found    []table // the tables that were there before the first Apply
	isFirst  bool    // Apply has not been called
	isOpen   bool    // the last plan isolates guests, and the kernel cannot do so for a guest that joins

	handedOver *wire.NFLOG  // nil until Open
	answers    *wire.Packet // nil until Open

	changed  chan struct{}
	overruns atomic.Pointer[watch.Watcher]
}

var _ datapath.Datapath = (*Datapath)(nil)

// A table is one of the two tables, BridgeTable and SidecarTable.
type table interface {
	IsThere() bool
	Remove() error
	forget() // record that there should be no table
}

// New returns a Datapath. It does not change the kernel.
func New() *Datapath {
	mark := 1 + rand.Uint32N(math.MaxUint32) // not 0, and hard to guess
	return &Datapath{
		mark:     mark,
		bridges:  NewBridgeTable(wire.Group),
		sidecars: NewSidecarTable(wire.Group, mark),
		settings: newSettings(),
		fdb:      newFDB(),
		isFirst:  true,
		changed:  make(chan struct{}, 1),
	}
}

// Open implements [datapath.Datapath]. It needs CAP_NET_ADMIN and CAP_NET_RAW, and the kernel module nfnetlink_log. It
// returns an error if another process of the network namespace has the NFLOG group.
func (d *Datapath) Open() error {
	if d.handedOver != nil {
		return nil
	}
	handedOver, err := wire.OpenNFLOG()
	if err != nil {
		return err
	}
	d.takeOverMark()
	answers, err := wire.OpenPacket(0, 0)
	if err == nil {
		if err = answers.SetMark(d.mark); err != nil {
			answers.Close()
		}
	}
	if err != nil {
		handedOver.Close()
		return err
	}
	d.handedOver, d.answers = handedOver, answers
	return nil
}

// takeOverMark goes on with the mark of a table that an earlier fabric has left. So answers that are on their way when Apply
// replaces the table, from a program that outlives the fabric, still pass.
func (d *Datapath) takeOverMark() {
	if found, err := inspectSidecars(); err == nil {
		if mark, ok := found.mark(); ok {
			d.mark, d.sidecars.mark = mark, mark
		}
	}
}

// Read implements [wire.Conn].
func (d *Datapath) Read(batch []wire.Frame) (int, error) { return d.handedOver.Read(batch) }

// Write implements [wire.Conn].
func (d *Datapath) Write(batch []wire.Frame) (int, error) { return d.answers.Write(batch) }

// Lost implements [wire.Conn].
func (d *Datapath) Lost() uint64 { return d.handedOver.Lost() }

// Close implements [wire.Conn].
func (d *Datapath) Close() error {
	if d.handedOver == nil {
		return nil
	}
	return errors.Join(d.handedOver.Close(), d.answers.Close())
}

func (d *Datapath) tables() []table { return []table{d.bridges, d.sidecars} }

// Apply implements [datapath.Datapath].
func (d *Datapath) Apply(p datapath.Plan, s link.Snapshot) error {
	now := &values{}
	problems := []error{d.begin(s), d.settings.prepare(now, p, s)}
	if len(p.Sidecars) > 0 {
		problems = append(problems, d.sidecars.Apply(p.Sidecars))
	}
	if len(p.Networks) > 0 {
		problems = append(problems, d.applyBridges(p, s))
	}
	// The tables come first, because they remember which interfaces the settings change. They are removed last, so that
	// a failure before it removes no guard.
	if err := errors.Join(problems...); err != nil {
		return errors.Join(err, d.settings.apply(now, p, s))
	}
	// The FDB comes before the settings: once a port has no flooding, an entry must lead to the guest behind it.
	return errors.Join(d.fdb.apply(p, s), d.settings.apply(now, p, s), d.removeUnneeded(p))
}

// begin notes what an earlier fabric has left. It does nothing after the first call.
func (d *Datapath) begin(s link.Snapshot) error {
	if !d.isFirst {
		return nil
	}
	d.found = slices.DeleteFunc(d.tables(), func(t table) bool { return !t.IsThere() })
	d.isFirst = false
	d.fdb.takeOver(s)
	return d.settings.takeOver(s)
}

func (d *Datapath) applyBridges(p datapath.Plan, s link.Snapshot) error {
	if err := d.bridges.Apply(p, d.settings.sets(s)...); err != nil {
		return err
	}
	d.isOpen = p.IsolatesARP() && !d.bridges.IsolatesUnknown()
	return nil
}

// removeUnneeded removes the tables that a plan does not need.
func (d *Datapath) removeUnneeded(p datapath.Plan) error {
	var unneeded []table
	if len(p.Networks) == 0 {
		unneeded = append(unneeded, d.bridges)
		d.isOpen = false
	}
	if len(p.Sidecars) == 0 {
		unneeded = append(unneeded, d.sidecars)
	}
	return remove(unneeded)
}

// remove removes the tables that exist. It asks for them first, because a kernel without nftables, or a process without
// the privilege, cannot remove any.
func remove(tables []table) error {
	var problems []error
	for _, t := range tables {
		if t.IsThere() {
			problems = append(problems, t.Remove())
		} else {
			t.forget()
		}
	}
	return errors.Join(problems...)
}

// Rollback implements [datapath.Datapath].
func (d *Datapath) Rollback() error {
	if d.isFirst {
		return nil
	}
	made := slices.DeleteFunc(d.tables(), func(t table) bool { return slices.Contains(d.found, t) })
	if !slices.Contains(made, table(d.bridges)) {
		return remove(made) // the guests of an earlier fabric stay guarded, also by the settings
	}
	return errors.Join(d.restoreBridges(), remove(made))
}

// restoreBridges restores all settings that this fabric, or an earlier one, has changed, and releases its FDB entries.
func (d *Datapath) restoreBridges() error {
	s, err := link.ReadSnapshot()
	if err != nil {
		return err
	}
	if err := d.begin(s); err != nil {
		return err
	}
	return errors.Join(d.settings.apply(&values{}, datapath.Plan{}, s), d.fdb.apply(datapath.Plan{}, s))
}

// Watch implements [datapath.Datapath].
func (d *Datapath) Watch(ctx context.Context) error {
	w, err := d.watchRuleset()
	if err != nil {
		return err
	}
	defer w.Close()
	d.overruns.Store(w)
	return w.Run(ctx)
}

// Changed implements [datapath.Datapath].
func (d *Datapath) Changed() <-chan struct{} { return d.changed }

// Overruns implements [datapath.Datapath].
func (d *Datapath) Overruns() uint64 {
	if w := d.overruns.Load(); w != nil {
		return w.Overruns()
	}
	return 0
}

// The names of the parts of the guard, as in 'nft list table'.
const bridgePart, sidecarPart = "bridge " + TableName, "netdev " + TableName

// Intact implements [datapath.Datapath].
func (d *Datapath) Intact(quick bool) []string {
	bridgesIntact := d.bridges.Intact
	if quick {
		bridgesIntact = d.bridges.LooksIntact
	}
	var changed []string
	if !bridgesIntact() {
		changed = append(changed, bridgePart)
	}
	if !d.sidecars.Intact() {
		changed = append(changed, sidecarPart)
	}
	return changed
}

// Warnings implements [datapath.Datapath].
func (d *Datapath) Warnings() []string {
	if !d.isOpen {
		return nil
	}
	return []string{"this kernel cannot isolate guests that join a bridge at the same moment from each other until the fabric " +
		"knows them; use a kernel with CONFIG_NFT_BRIDGE_META"}
}

// Answers implements [datapath.Datapath]. The fabric answers all requests.
func (d *Datapath) Answers() (wire.Conn, error) { return nil, nil }

// Program implements [datapath.Datapath].
func (d *Datapath) Program() *datapath.Program { return nil }

// Show implements [datapath.Datapath].
func (d *Datapath) Show(bool) {}

// Counters implements [datapath.Datapath].
func (d *Datapath) Counters() (map[string]datapath.Counters, error) { return d.bridges.Counters() }
