package store

import (
	"fmt"
	"maps"
	"net/netip"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var morning = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

func addr(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 239, byte(n >> 8), byte(n)}) }

func macOf(n int) registry.MAC { return registry.MAC{2, 0, byte(n >> 8), byte(n), 0x54, 0xa8} }

func allocate(n int) Change {
	return Change{Kind: Allocate, Allocation: Allocation{Network: "lab", Address: addr(n), MAC: macOf(n)}, At: morning}
}

func free(n int) Change {
	return Change{Kind: Free, Allocation: Allocation{Network: "lab", Address: addr(n), MAC: macOf(n)}, At: morning}
}

// state returns the MACs of all allocations.
func state(f *File) map[netip.Addr]registry.MAC {
	all := map[netip.Addr]registry.MAC{}
	for a := range f.Table().All("lab") {
		all[a.Address] = a.MAC
	}
	return all
}

// A history is what callers were told.
type history struct {
	acknowledged map[netip.Addr]registry.MAC
	attempted    []Change // the changes of the last Commit, if it failed
	revision     uint64   // of the last change that was acknowledged
}

// commit commits, and records what a caller would know.
func (h *history) commit(f *File, changes ...Change) {
	if err := f.Commit(changes); err != nil {
		h.attempted = changes
		return
	}
	for _, c := range changes {
		if c.Kind == Free {
			delete(h.acknowledged, c.Address)
		} else {
			h.acknowledged[c.Address] = c.MAC
		}
		h.revision = c.Revision
	}
}

// use makes changes, enough for Maintain to begin three journals, and stops at the first error.
func (h *history) use(f *File) {
	h.acknowledged = map[netip.Addr]registry.MAC{}
	for n := 1; n <= 24 && h.attempted == nil; n += 3 {
		h.commit(f, allocate(n), allocate(n+1))
		if h.attempted == nil {
			h.commit(f, free(n))
		}
		if h.attempted == nil {
			_ = f.Maintain() // its errors endanger nothing
		}
	}
}

// expect checks that a store has what was acknowledged. The changes that were not may have happened, too.
func (h *history) expect(t *testing.T, f *File) {
	t.Helper()
	want := maps.Clone(h.acknowledged)
	got := state(f)
	for _, c := range h.attempted {
		delete(want, c.Address)
		delete(got, c.Address)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the store has other allocations (-acknowledged +store):\n%s", diff)
	}
	if f.table.revision < h.revision {
		t.Errorf("revision %d, but %d was acknowledged", f.table.revision, h.revision)
	}
	if len(f.Problems()) > 0 {
		t.Errorf("problems: %q", f.Problems())
	}
}

// smallLimit makes Maintain begin a new journal after three or four changes.
const smallLimit = 300

func openOn(t *testing.T, d disk) *File {
	t.Helper()
	f, err := open(d, smallLimit)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// calls returns the number of calls of a use that does not fail.
func calls(t *testing.T) int {
	t.Helper()
	d := newMemoryDisk()
	f := openOn(t, d)
	(&history{}).use(f)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return d.calls
}

// TestPowerLoss loses the power at every call, and keeps none, half or all of what was not synced.
func TestPowerLoss(t *testing.T) {
	for at := 1; at <= calls(t); at++ {
		for _, kept := range []string{noNames, allNames, lastName} {
			for _, share := range []int{0, 50, 100} {
				t.Run(fmt.Sprintf("call %d, %s, %d%%", at, kept, share), func(t *testing.T) {
					d := newMemoryDisk()
					d.failAt, d.isPowerLoss = at, true
					var h history
					if f, err := open(d, smallLimit); err == nil {
						h.use(f)
						f.Close()
					}
					after := d.afterCrash(kept, share)
					f := openOn(t, after)
					h.expect(t, f)
					// It goes on as if nothing had happened, and survives a second crash.
					f.Commit([]Change{allocate(99)})
					if _, ok := openOn(t, after.afterCrash(noNames, 0)).Table().Get("lab", addr(99)); !ok {
						t.Error("a change after the crash is lost by another crash")
					}
				})
			}
		}
	}
}

// TestOneFailure makes one call fail, with half a write if it is a write, and goes on. The table must be as if nothing
// had been tried, and nothing acknowledged may be lost, also by a crash at the end.
func TestOneFailure(t *testing.T) {
	for at := 1; at <= calls(t); at++ {
		t.Run(fmt.Sprintf("call %d", at), func(t *testing.T) {
			d := newMemoryDisk()
			d.failAt = at
			f, err := open(d, smallLimit)
			if err != nil || f.Writable() != nil {
				return // nothing is acknowledged; TestReadOnly has the rest
			}
			var h history
			h.use(f)
			if h.attempted != nil {
				for _, c := range h.attempted {
					_, is := f.Table().Get("lab", c.Address)
					if _, was := h.acknowledged[c.Address]; is != was {
						t.Errorf("%s of a failed commit: %v", c.Address, is)
					}
				}
				attempted := h.attempted
				h.attempted = nil
				h.commit(f, attempted...) // the second time it works
				if h.attempted != nil && f.Writable() == nil {
					t.Error("the second attempt fails, too")
				}
			}
			h.expect(t, openOn(t, d.afterCrash(noNames, 0)))
			f.Close()
			h.expect(t, openOn(t, d.afterCrash(noNames, 0)))
		})
	}
}
