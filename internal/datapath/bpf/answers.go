package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
)

// answers reads the requests that programs have answered, and those of a sidecar's guest that they have not, from a ring
// buffer, which all programs of a Datapath share. It is a [wire.Conn] that sends nothing.
type answers struct {
	ring, lost *ebpf.Map
	reader     *ringbuf.Reader
	record     ringbuf.Record

	mu       sync.Mutex // Lost may be asked while, and after, another goroutine closes the maps
	isClosed bool
	lastLost uint64
}

func newAnswers() (*answers, error) {
	spec, err := loadGuard()
	if err != nil {
		return nil, err
	}
	ring, err := ebpf.NewMap(spec.Maps[guardMapShown])
	if err != nil {
		return nil, fmt.Errorf("making a ring buffer: %w", err)
	}
	lost, err := ebpf.NewMap(spec.Maps[guardMapLost])
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making an array: %w", err), ring.Close())
	}
	reader, err := ringbuf.NewReader(ring)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening a ring buffer: %w", err), ring.Close(), lost.Close())
	}
	return &answers{ring: ring, lost: lost, reader: reader}, nil
}

// shared returns the maps that all programs share.
func (a *answers) shared() map[string]*ebpf.Map {
	return map[string]*ebpf.Map{guardMapShown: a.ring, guardMapLost: a.lost}
}

// Read implements [wire.Conn]. It returns one frame at a time: the program shows a thousand a second for each port at most, and
// unanswered are those for addresses without a binding.
func (a *answers) Read(batch []wire.Frame) (int, error) {
	if err := a.reader.ReadInto(&a.record); err != nil {
		return 0, err
	}
	// The layout is that of struct request: the ifindex, the length of the frame, flags, and its first bytes.
	sample := a.record.RawSample
	length := min(int(binary.NativeEndian.Uint32(sample[4:])), len(guardRequest{}.Frame))
	flags := guardRequestFlag(binary.NativeEndian.Uint32(sample[8:]))
	batch[0] = wire.Frame{
		Port: int(binary.NativeEndian.Uint32(sample)), Data: sample[12 : 12+length],
		IsAnswered: flags&guardRequestFlagIS_ANSWERED != 0, FromHost: flags&guardRequestFlagIS_OWN != 0,
	}
	return 1, nil
}

// Write implements [wire.Conn].
func (a *answers) Write(batch []wire.Frame) (int, error) { return 0, nil }

// Lost implements [wire.Conn].
func (a *answers) Lost() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	var perCPU []uint64
	if a.isClosed || a.lost.Lookup(uint32(0), &perCPU) != nil {
		return a.lastLost
	}
	a.lastLost = 0
	for _, n := range perCPU {
		a.lastLost += n
	}
	return a.lastLost
}

// Close implements [wire.Conn]. No program can be loaded afterwards. Those that are loaded stay.
func (a *answers) Close() error {
	a.Lost() // for those who ask afterwards
	a.mu.Lock()
	defer a.mu.Unlock()
	a.isClosed = true
	return errors.Join(a.reader.Close(), a.ring.Close(), a.lost.Close())
}

// Answers implements [datapath.Datapath].
func (d *Datapath) Answers() (wire.Conn, error) {
	if err := d.openAnswers(); err != nil {
		return nil, err
	}
	return d.answers, nil
}

func (d *Datapath) openAnswers() (err error) {
	if d.answers == nil {
		d.answers, err = newAnswers()
	}
	return err
}

// Show implements [datapath.Datapath].
func (d *Datapath) Show(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.isWatched = on
	d.show()
}

// show tells the program whether somebody watches. The caller holds the mutex.
func (d *Datapath) show() {
	if d.running == nil {
		return
	}
	var watched uint32
	if d.isWatched {
		watched = 1
	}
	// It can't fail: the variable has four bytes, and may be written.
	_ = d.running.IsWatched.Set(watched)
}
