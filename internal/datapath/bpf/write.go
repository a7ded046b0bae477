package bpf

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"time"

	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// write brings the maps from what they have to what is wanted, and lets frames go past the bridge for a while. After an
// error, the maps have a part of both, and the program has to be taken off the ports.
func (p *program) write(have, want contents, ports numbers) error {
	err := errors.Join(
		writeMap(p.Ports, have.ports, want.ports),
		writeMap(p.Host, have.host, want.host),
		writeMap(p.Locations, have.locations, want.locations),
		p.followPorts(have.ports, want.ports),
	)
	for number := range have.registries {
		if want.registries[number] == nil {
			err = errors.Join(err, p.writeRegistry(number, have.registries[number], &registry.Registry{}, ports))
		}
	}
	for number, r := range want.registries {
		before := have.registries[number]
		if before == nil {
			before = &registry.Registry{}
		}
		err = errors.Join(err, p.writeRegistry(number, before, r, ports))
	}
	if err != nil {
		return err
	}
	return p.forwardFor(longestUnchecked)
}

// longestUnchecked is how long frames go past the bridge if nobody checks whether they still may. The fabric calls Intact
// every few seconds.
const longestUnchecked = 20 * time.Second

// forwardFor lets frames go past the bridge for some time from now.
func (p *program) forwardFor(d time.Duration) error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil { // the clock of bpf_ktime_get_ns
		return err
	}
	return p.ForwardsUntil.Set(uint64(now.Nano() + d.Nanoseconds()))
}

// followPorts keeps a limit and counters for each port.
func (p *program) followPorts(have, want map[uint32]guardPort) error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	var problems []error
	for index := range want {
		if _, known := have[index]; !known {
			problems = append(problems, p.Limits.Put(index, guardLimit{}), p.Counts.Put(index, make([]guardCounters, cpus)))
		}
	}
	for index := range have {
		if _, stays := want[index]; !stays {
			problems = append(problems, deleteKey(p.Limits, index), deleteKey(p.Counts, index))
		}
	}
	return errors.Join(problems...)
}

// takeCounts goes on with the counts of another program. Frames of the moment until p replaces it are not counted.
func (p *program) takeCounts(of *program, c contents) {
	for index := range c.indexes() {
		var perCPU []guardCounters
		if err := of.Counts.Lookup(index, &perCPU); err == nil { // or else the port is new
			_ = p.Counts.Put(index, perCPU)
		}
	}
}

// writeMap writes what differs into a map.
func writeMap[K, V comparable](m *ebpf.Map, have, want map[K]V) error {
	var problems []error
	for key := range have {
		if _, stays := want[key]; !stays {
			problems = append(problems, deleteKey(m, key))
		}
	}
	for key, value := range want {
		if before, known := have[key]; !known || before != value {
			problems = append(problems, m.Put(key, value))
		}
	}
	return errors.Join(problems...)
}

func deleteKey(m *ebpf.Map, key any) error {
	if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	return nil
}

// writeRegistry writes what differs between two registries of a network.
func (p *program) writeRegistry(network uint32, before, after *registry.Registry, ports numbers) error {
	d := registry.Diff(before, after)
	for b := range d.Removed() {
		if err := p.deleteRun(network, b); err != nil {
			return fmt.Errorf("deleting the binding of %s from the eBPF maps: %w", b.Addresses(), err)
		}
	}
	w := batchWriter{bindings: batch[guardAddress]{m: p.Bindings}, ranges: batch[guardPrefix]{m: p.Ranges}}
	for b := range d.Added() {
		if err := w.addRun(network, b, ports.ownerOf(b)); err != nil {
			return fmt.Errorf("writing the binding of %s into the eBPF maps: %w", b.Addresses(), err)
		}
	}
	if err := w.flush(); err != nil {
		return fmt.Errorf("writing bindings into the eBPF maps: %w", err)
	}
	return nil
}

func (p *program) deleteRun(network uint32, b registry.Binding) error {
	if b.First == b.Last {
		return deleteKey(p.Bindings, addressKey(network, b.First))
	}
	var problems []error
	for prefix := range prefixes(b.First, b.Last) {
		problems = append(problems, deleteKey(p.Ranges, prefixKey(network, prefix)))
	}
	return errors.Join(problems...)
}

// A batchWriter writes the bindings of a registry, many with one system call.
type batchWriter struct {
	bindings batch[guardAddress]
	ranges   batch[guardPrefix]
}

func (w *batchWriter) addRun(network uint32, b registry.Binding, owner guardOwner) error {
	if b.First == b.Last {
		return w.bindings.add(addressKey(network, b.First), owner)
	}
	for prefix := range prefixes(b.First, b.Last) {
		if err := w.ranges.add(prefixKey(network, prefix), owner); err != nil {
			return err
		}
	}
	return nil
}

func (w *batchWriter) flush() error { return errors.Join(w.bindings.flush(), w.ranges.flush()) }

// A batch collects entries of a map.
type batch[K any] struct {
	m      *ebpf.Map
	keys   []K
	owners []guardOwner
}

const batchLen = 8192

func (b *batch[K]) add(key K, owner guardOwner) error {
	b.keys, b.owners = append(b.keys, key), append(b.owners, owner)
	if len(b.keys) < batchLen {
		return nil
	}
	return b.flush()
}

func (b *batch[K]) flush() error {
	if len(b.keys) == 0 {
		return nil
	}
	_, err := b.m.BatchUpdate(b.keys, b.owners, nil)
	b.keys, b.owners = b.keys[:0], b.owners[:0]
	return err
}

// indexes yields the ifindexes of the ports.
func (c contents) indexes() iter.Seq[uint32] { return maps.Keys(c.ports) }
