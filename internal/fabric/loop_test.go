package fabric

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// recorder is a Datapath that records the names of the networks in each plan.
type recorder struct {
	datapath.Datapath
	applied []string
}

func (r *recorder) Apply(p datapath.Plan, _ link.Snapshot) error {
	names := ""
	for _, n := range p.Networks {
		names += n.Name + " "
	}
	r.applied = append(r.applied, names)
	return nil
}

func (*recorder) Open() error              { return nil }
func (*recorder) Warnings() []string       { return nil }
func (*recorder) Changed() <-chan struct{} { return nil }
func (*recorder) Intact(bool) []string     { return nil }

// failing is an attachment that cannot be reconciled a number of times.
type failing struct {
	name   string
	times  int
	takes  time.Duration
	called int
}

func (*failing) check(link.Snapshot) error { return nil }

func (a *failing) reconcile(link.Snapshot) ([]link.Link, error) {
	a.called++
	time.Sleep(a.takes)
	if a.called <= a.times {
		return nil, errors.New("not this time")
	}
	return nil, nil
}

func (a *failing) plan(p *datapath.Plan) {
	p.Networks = append(p.Networks, datapath.Network{Name: a.name})
}

// running runs the loop of a Fabric with networks on these attachments, until the test ends.
func running(t *testing.T, attachments ...*failing) (*Fabric, *recorder, chan<- struct{}) {
	t.Helper()
	d := &recorder{}
	f := New(&config.Config{}, slog.New(slog.DiscardHandler), d)
	close(f.ready)
	for _, a := range attachments {
		n := newNetwork(configOf(a.name))
		n.attachment = a
		f.networks = append(f.networks, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	interfaces := make(chan struct{})
	go func() { ended <- f.loop(ctx, interfaces, nil) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return f, d, interfaces
}

// configOf returns the configuration of a network. Networks of the same name have the same attachment.
func configOf(name string) config.Network {
	attach := config.Attachment{Kind: config.AttachInterface, Device: name}
	return config.Network{Name: name, Attach: attach, Registry: &registry.Registry{}}
}

// TestRetryOutlivesARegistry sets a registry between a failed reconciliation and the next attempt.
func TestRetryOutlivesARegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &failing{name: "lab", times: 1}
		f, _, interfaces := running(t, a)
		interfaces <- struct{}{}
		if err := f.SetRegistry(t.Context(), "lab", &registry.Registry{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if a.called != 2 {
			t.Errorf("reconciled %d times; want 2", a.called)
		}
	})
}

// TestFailedReloadKeepsTheGuard makes a reload fail in a network that cannot be reconciled. The guard of the network
// that the reload would have removed stays at every moment.
func TestFailedReloadKeepsTheGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d, _ := running(t, &failing{name: "old"}, &failing{name: "new", times: 1})
		f.networks[1].settings.Store(newSettings(configOf("new"), nil))
		err := f.Reload(t.Context(), &config.Config{Networks: []config.Network{configOf("new")}})
		if err == nil {
			t.Fatal("the reload has succeeded")
		}
		synctest.Wait()
		for _, networks := range d.applied {
			if networks != "old new " {
				t.Errorf("the plan had the networks %q", networks)
			}
		}
		if slices.Max(append(d.applied, "")) == "" {
			t.Error("the old guard was not applied again")
		}
	})
}

func TestSetNoRegistry(t *testing.T) {
	f := New(&config.Config{}, slog.New(slog.DiscardHandler), &recorder{})
	if err := f.SetRegistry(t.Context(), "lab", nil); err == nil {
		t.Error("nil is taken for a registry")
	}
}

// TestFlappingPortsLeaveTime changes interfaces all the time for a second, and checks that reconciling takes only a
// part of it.
func TestFlappingPortsLeaveTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &failing{name: "lab", takes: 5 * time.Millisecond}
		_, _, interfaces := running(t, a)
		second := time.After(time.Second)
		for over := false; !over; {
			select {
			case interfaces <- struct{}{}:
			case <-second:
				over = true
			}
		}
		synctest.Wait() // the loop may be reconciling
		if busy := time.Duration(a.called) * a.takes; a.called < 10 || busy > time.Second/3 {
			t.Errorf("reconciled %d times, for %v of a second", a.called, busy)
		}
	})
}
