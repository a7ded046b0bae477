package nft_test

import (
	"context"
	"os/exec"
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/datapath/nft"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
)

// watched returns a Datapath with a plan, whose Watch runs until the test ends.
func watched(t testing.TB, p datapath.Plan) *nft.Datapath {
	t.Helper()
	d := newDatapath(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Watch(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	applyTo(t, d, p)
	labtest.Eventually(t, "Changed receives its own change", func() bool {
		select {
		case <-d.Changed():
			return true
		default:
			applyTo(t, d, datapath.Plan{})
			applyTo(t, d, p)
			return false
		}
	})
	return d
}

func applyTo(t testing.TB, d *nft.Datapath, p datapath.Plan) {
	t.Helper()
	if err := d.Apply(p, snapshot(t)); err != nil {
		t.Fatal(err)
	}
}

func snapshot(t testing.TB) link.Snapshot {
	t.Helper()
	s, err := link.ReadSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestWatchTellsOwnChangesFromOthers checks that the guard is intact after the fabric's own changes and after changes
// of other tables, and is not intact after a change by another process, even one that this process has reverted. The
// latter does not need a read of the large sets.
func TestWatchTellsOwnChangesFromOthers(t *testing.T) {
	labtest.NeedProgram(t, "nft")
	d := watched(t, fullPlan(t))
	for range 100 {
		applyTo(t, d, plan(guests("vnet0")))
		applyTo(t, d, fullPlan(t))
	}
	labtest.Must(t, changeAnotherTable())
	if changed := d.Intact(false); len(changed) > 0 {
		t.Errorf("%q is reported after the fabric's own changes", changed)
	}
	const forged = "element bridge arpfabric bindings_lab { 02:00:01:de:54:a8 . 10.239.0.9 }"
	out, err := exec.Command("nft", "add "+forged+"; delete "+forged).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	labtest.Eventually(t, "it is not intact", func() bool { return len(d.Intact(true)) > 0 })
	applyTo(t, d, fullPlan(t))
	if changed := d.Intact(false); len(changed) > 0 {
		t.Errorf("%q is not intact after it was installed again", changed)
	}
}

// BenchmarkForgedElement adds a forged element to those of 100 thousand bindings. An op lasts from then until the guard
// is restored.
func BenchmarkForgedElement(b *testing.B) {
	labtest.NeedProgram(b, "nft")
	p := planOfMany(b, 0)
	d := watched(b, p)
	for b.Loop() {
		const forged = "add element bridge arpfabric bindings_lab { 02:aa:aa:aa:aa:aa . 10.1.2.3 }"
		if out, err := exec.Command("nft", forged).CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		for len(d.Intact(false)) == 0 {
			<-d.Changed()
		}
		applyTo(b, d, p)
	}
}
