package reload

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/filewatch"
)

// Reloader loads a configuration again and again.
type Reloader struct {
	log        *slog.Logger
	apply      func(context.Context, *config.Config) error
	requests   chan requester
	newWatcher func() *filewatch.Watcher
	state      state

	began func()
	ended func(inForce *config.Config, err error)
}

// A requester waits for a reload, and receives its error. Where nobody waits for one, the requester is nil.
type requester chan<- error

// New makes a Reloader of cfg, which was loaded after the time given. apply puts a configuration in force.
func New(log *slog.Logger, cfg *config.Config, loaded time.Time, apply func(context.Context, *config.Config) error) *Reloader {
	r := &Reloader{log: log, apply: apply, requests: make(chan requester), newWatcher: newWatcher}
	r.state.loaded(cfg, loaded)
	r.Notify(func() {}, func(*config.Config, error) {})
	return r
}

// Notify makes Run call began before each reload and ended after it, with the configuration that is in force then and
// the error of the reload. Call it before Run.
func (r *Reloader) Notify(began func(), ended func(inForce *config.Config, err error)) {
	r.began, r.ended = began, ended
}

// Run reloads when a file changes, at each signal, and when Reload requests it, until ctx ends.
func (r *Reloader) Run(ctx context.Context, signals <-chan os.Signal) {
	w := r.newWatcher()
	defer w.Close()
	go r.requestAtSignals(ctx, signals)
	inForce := r.state.config
	w.Watch(inForce.Files, inForce.Digest)
	for {
		requester, ok := filewatch.Wait(ctx, w, r.requests)
		if !ok {
			return
		}
		r.began()
		next, err := r.reload(ctx, inForce)
		w.Watch(next.Files, next.Digest) // after an error, too: one of these files has to be repaired
		if err == nil {
			inForce = next
		}
		r.ended(inForce, err)
		if requester != nil {
			requester <- err
		}
		debug.FreeOSMemory() // what the registry before took
	}
}

// quiet is how long a burst of changes may pause before it is over.
const quiet = 100 * time.Millisecond

func newWatcher() *filewatch.Watcher { return filewatch.New(quiet) }

// requestAtSignals requests a reload at each signal, for which nobody waits, until ctx ends.
func (r *Reloader) requestAtSignals(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-signals:
		case <-ctx.Done():
			return
		}
		select {
		case r.requests <- nil:
		case <-ctx.Done():
			return
		}
	}
}

// Reload makes Run reload, and returns what was wrong: one problem a line. It may be called from several goroutines at
// once.
func (r *Reloader) Reload(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case r.requests <- done:
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

// reload loads the configuration and applies it. After an error the current one stays in force, and the one that is
// returned says which files were read.
func (r *Reloader) reload(ctx context.Context, current *config.Config) (*config.Config, error) {
	began := time.Now()
	next, err := config.Load(current.Path)
	if err == nil {
		err = r.apply(ctx, next)
	}
	if err != nil {
		r.state.failed(err)
		r.logProblems(current.Path, err)
		return next, err
	}
	r.state.loaded(next, began)
	r.warnOfRestart(current, next)
	r.log.Info("configuration reloaded", "file", current.Path)
	return next, nil
}

// warnOfRestart names the keys that have changed now and need a restart.
func (r *Reloader) warnOfRestart(current, next *config.Config) {
	for _, key := range needRestart(current, next) {
		r.log.Warn("changes of `"+key+"` take effect at the next start", "file", current.Path)
	}
}

// logProblems logs each problem of a configuration that could not be put in force.
func (r *Reloader) logProblems(path string, err error) {
	r.log.Error("the configuration could not be reloaded; the one before stays in force", "file", path)
	for problem := range strings.SplitSeq(err.Error(), "\n") {
		r.log.Error(problem)
	}
}
