package reload

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/config"
)

// Reloader loads a configuration again and again.
type Reloader struct {
	log   *slog.Logger
	apply func(context.Context, *config.Config) error
	asked chan request
	state state

	began func()
	ended func(inForce *config.Config, err error)
}

// A request is somebody who wants a reload and to know how it went. Nobody is nil.
type request chan<- error

// New makes a Reloader of cfg, which was loaded after the time given. apply puts a configuration in force.
func New(log *slog.Logger, cfg *config.Config, loaded time.Time, apply func(context.Context, *config.Config) error) *Reloader {
	r := &Reloader{log: log, apply: apply, asked: make(chan request)}
	r.state.loaded(cfg, loaded)
	r.Tell(func() {}, func(*config.Config, error) {})
	return r
}

// Tell has began called before each reload, and ended after it, with what is in force then and why that is not what
// the files say. It is called before Run.
func (r *Reloader) Tell(began func(), ended func(inForce *config.Config, err error)) {
	r.began, r.ended = began, ended
}

// Run reloads when a file changes, at each signal, and when Reload asks for it, until ctx ends.
func (r *Reloader) Run(ctx context.Context, signals <-chan os.Signal) {
	w := newWatcher()
	defer w.close()
	cfg, read := r.state.config, r.state.status.Loaded
	files := cfg.Files
	var before map[string]fingerprint
	for {
		w.watch(files, before, read)
		asker, ok := w.wait(ctx, signals, r.asked)
		if !ok {
			return
		}
		before, read = fingerprints(files), time.Now()
		r.began()
		next, err := r.reload(ctx, cfg, read)
		if err == nil {
			cfg, files = next, next.Files
		} else {
			addMissing(before, next.Files)
			files = slices.Concat(cfg.Files, next.Files) // a repair may change any of them
		}
		r.ended(cfg, err)
		if asker != nil {
			asker <- err
		}
		debug.FreeOSMemory() // what the registry before took
	}
}

// Reload makes Run reload, and returns what was wrong: one problem a line. It may be called from several goroutines at
// once.
func (r *Reloader) Reload(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case r.asked <- done:
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

// reload loads the configuration and applies it. After an error the current one is in force, and the other says
// from which files it was to come.
func (r *Reloader) reload(ctx context.Context, current *config.Config, read time.Time) (*config.Config, error) {
	next, err := config.Load(current.Path)
	if err == nil {
		err = r.apply(ctx, next)
	}
	if err != nil {
		r.state.failed(err)
		r.logProblems(current.Path, err)
		return next, err
	}
	r.state.loaded(next, read)
	r.warnOfStart(current, next)
	r.log.Info("configuration reloaded", "file", current.Path)
	return next, nil
}

// warnOfStart names the keys whose changes a reload does not put in force.
func (r *Reloader) warnOfStart(current, next *config.Config) {
	for _, key := range []struct {
		name    string
		changed bool
	}{
		{"api", next.API != current.API}, {"metrics", next.Metrics != current.Metrics}, {"log", next.Log != current.Log},
	} {
		if key.changed {
			r.log.Warn("changes of `"+key.name+"` take effect at the next start", "file", current.Path)
		}
	}
}

// logProblems logs each problem of a configuration that could not be put in force.
func (r *Reloader) logProblems(path string, err error) {
	r.log.Error("the configuration could not be reloaded; the one before stays in force", "file", path)
	for problem := range strings.SplitSeq(err.Error(), "\n") {
		r.log.Error(problem)
	}
}
