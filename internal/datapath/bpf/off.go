package bpf

import (
	"errors"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/link"
)

// Off returns a Datapath that leaves everything to the one beneath, and removes the programs that another process has left.
// It needs no privilege for eBPF.
func Off(beneath datapath.Datapath) datapath.Datapath { return &off{Datapath: beneath} }

type off struct {
	datapath.Datapath
	hasRemoved bool
}

// Apply implements [datapath.Datapath].
func (o *off) Apply(p datapath.Plan, s link.Snapshot) error {
	// First: without the program, the datapath beneath has to isolate guests.
	if err := o.Datapath.Apply(p, s); err != nil || o.hasRemoved {
		return err
	}
	err := Remove()
	o.hasRemoved = err == nil
	return err
}

// Remove implements [datapath.Datapath].
func (o *off) Remove() error { return errors.Join(Remove(), o.Datapath.Remove()) }

// Parts implements [datapath.Datapath].
func (o *off) Parts() []string {
	return withPrograms(o.Datapath.Parts())
}
