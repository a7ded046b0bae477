package fabric

import (
	"context"
	"log/slog"
	"time"
)

// guardCheckInterval is the interval at which the loop checks the guard without a notification.
const guardCheckInterval = 5 * time.Second

// summaryInterval is the interval at which the log gets a summary of continuing violations.
const summaryInterval = time.Minute

// loop reconciles the networks with the interfaces after every change of interfaces. If that fails, it tries again
// after some time, because no further change may come. It also checks the guard, and runs requests. It returns nil when
// ctx ends.
func (f *Fabric) loop(ctx context.Context, interfaces, fdb <-chan struct{}) error {
	guardCheck := time.NewTicker(guardCheckInterval)
	defer guardCheck.Stop()
	summaries := time.NewTicker(summaryInterval)
	defer summaries.Stop()
	var retry retry
	var settled <-chan time.Time // not nil for a short time after a reconciliation
	for {
		changed, found := interfaces, fdb
		if retry.due != nil || settled != nil {
			changed, found = nil, nil // the failed reconciliation itself may have caused changes; ports that flap must not use all the time
		}
		select {
		case <-ctx.Done():
			return nil
		case r := <-f.requests:
			err := r.run()
			r.done <- err
			if err == nil && r.reconciles {
				retry.note(nil, f.log)
			}
			if err == nil {
				continue
			}
		case <-f.heartbeat:
			continue
		case <-f.datapath.Changed():
			if f.guardIsIntact(false) {
				continue
			}
		case <-summaries.C:
			f.violations.Summarise()
			continue
		case <-guardCheck.C:
			f.forgetClones()
			f.updateLastSeen()
			// Both, even if the first is not intact.
			if guard, located := f.guardIsIntact(true), f.checkLocations(); guard && located && !f.isAnyWaiting() {
				continue
			}
		case seen := <-f.sightings:
			if err := f.learn(seen); err == nil {
				continue
			}
		case <-found:
			if f.checkLocations() {
				continue
			}
		case <-f.takeovers.due:
			f.applyTakeovers()
			continue
		case <-settled:
			settled = nil
			continue
		case <-changed:
		case <-retry.due:
		}
		began := time.Now()
		retry.note(f.reconcile(partly), f.log)
		settled = time.After(min(3*time.Since(began), longestPause))
	}
}

// longestPause is the maximum time that the loop ignores changes of interfaces after a reconciliation. A new port may
// wait for that time.
const longestPause = 15 * time.Millisecond

// A request is a function for the loop to run.
type request struct {
	run        func() error
	reconciles bool // run reconciles: if it succeeds, an earlier failure need not be retried
	done       chan<- error
}

// runInLoop makes the loop run a request, and returns its error. If ctx ends first, it returns the error of ctx; the
// loop may still run the request.
func (f *Fabric) runInLoop(ctx context.Context, r request) error {
	done := make(chan error, 1)
	r.done = done
	select {
	case f.requests <- r:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A retry says when to reconcile again after a failure. The zero retry means never.
type retry struct {
	due    <-chan time.Time
	wait   time.Duration
	logged string // the last error that was logged
}

// note records the result of a reconciliation. It logs an error once, even if it is repeated.
func (r *retry) note(err error, log *slog.Logger) {
	const firstWait, longestWait = 50 * time.Millisecond, 400 * time.Millisecond
	if err == nil {
		*r = retry{}
		return
	}
	if r.logged != err.Error() {
		r.logged = err.Error()
		log.Error("cannot reconcile ports and guard with the interfaces; trying again until it succeeds", "error", err)
	}
	r.wait = min(max(2*r.wait, firstWait), longestWait)
	r.due = time.After(r.wait)
}

// guardIsIntact reports whether the guard is as it was applied. A quick check does not read the bindings.
func (f *Fabric) guardIsIntact(quick bool) bool {
	changed := f.datapath.Intact(quick)
	for _, part := range changed {
		f.guardReinstalls.Add(1)
		f.log.Warn("another program has changed the guard; installing it again", "table", part)
	}
	return len(changed) == 0
}
