package daemon

import (
	"context"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/violation"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// saveInterval is the time between two writes of the violations: those of the last interval do not outlive a kill.
const saveInterval = 10 * time.Second

// violationsFile returns the path of the file in which violations outlive the daemon. It is beside the socket of the API,
// which no other daemon can have. Without the API there is none, because nobody can list the violations either.
func violationsFile(c config.API) string {
	if c.Socket == "" {
		return ""
	}
	return strings.TrimSuffix(c.Socket, ".sock") + ".violations.json"
}

// restoreViolations restores the violations that an earlier daemon has saved. It only logs an error.
func (d *daemon) restoreViolations(cfg *config.Config) {
	path := violationsFile(cfg.API)
	if path == "" {
		return
	}
	saved, err := violation.ReadFile(path)
	if err != nil {
		d.log.Warn("cannot restore the violations from before the start", "error", err)
		return
	}
	var records []violation.Record
	for _, r := range saved {
		for i := range cfg.Networks {
			if n := &cfg.Networks[i]; n.Name == r.Network {
				r.Owner, _ = n.Registry.Lookup(r.Claimed())
				records = append(records, r)
			}
		}
	}
	d.fabric.Violations().Restore(records)
}

// keepViolations saves the violations from time to time, and when ctx ends.
func (d *daemon) keepViolations(ctx context.Context, path string) {
	if path == "" {
		return
	}
	ticks := time.NewTicker(saveInterval)
	defer ticks.Stop()
	k := keeper{daemon: d, path: path, saved: d.fabric.Violations().Changes()}
	for {
		select {
		case <-ctx.Done():
			k.save()
			return
		case <-ticks.C:
			k.save()
		}
	}
}

// A keeper saves the violations to a file.
type keeper struct {
	*daemon
	path   string
	saved  uint64 // the number of changes that the file has
	failed bool   // which has been logged
}

func (k *keeper) save() {
	table := k.fabric.Violations()
	changes := table.Changes() // before the records, which may have more of them
	if changes == k.saved {
		return
	}
	err := violation.WriteFile(k.path, table.All())
	if err == nil {
		k.saved = changes
	} else if !k.failed {
		k.log.Warn("cannot save the violations; they will be lost at the next start", "error", err)
	}
	k.failed = err != nil
}

// forgetDetached removes the violations of networks that the configuration no longer has.
func (d *daemon) forgetDetached(cfg *config.Config) {
	has := map[string]bool{}
	for _, n := range cfg.Networks {
		has[n.Name] = true
	}
	d.fabric.Violations().Clear(func(r violation.Record) bool { return !has[r.Network] })
}

// Violations implements [api.Fabric].
func (d *daemon) Violations(f api.ViolationFilter) []api.Violation {
	all := []api.Violation{}
	for _, r := range d.fabric.Violations().All() {
		if selects(f, r) {
			all = append(all, violationJSON(r))
		}
	}
	return all
}

// ClearViolations implements [api.Fabric].
func (d *daemon) ClearViolations(f api.ViolationFilter) int {
	n := d.fabric.Violations().Clear(func(r violation.Record) bool { return selects(f, r) })
	d.log.Info("violations cleared on request", "records", n)
	return n
}

func selects(f api.ViolationFilter, r violation.Record) bool {
	verdict := responder.Verdict{Action: r.Action, Reason: r.Reason}
	return !r.Last.Before(f.Since) && f.Selects(r.Network, r.Port, verdict, r.SenderIdentity)
}

func violationJSON(r violation.Record) api.Violation {
	v := api.Violation{
		Network: r.Network, Port: r.Port, Reason: r.Reason.String(), Action: r.Action.String(),
		MAC: r.MAC.String(), Address: r.Claimed(), Target: r.Target,
		First: r.First, Last: r.Last, Count: r.Count,
	}
	if r.Owner != (registry.Binding{}) {
		owner := api.BindingOf(r.Network, r.Owner)
		v.Owner = &owner
	}
	return v
}
