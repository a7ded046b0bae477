package reload

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/config"
)

// Reloader loads a configuration again and again.
type Reloader struct {
	Log   *slog.Logger
	Apply func(context.Context, *config.Config) error // puts a configuration in force
}

// Run reloads cfg, which was loaded after the time given, when its files change and at each signal, until
// ctx ends.
func (r *Reloader) Run(ctx context.Context, cfg *config.Config, loaded time.Time, signals <-chan os.Signal) {
	w := newWatcher()
	defer w.close()
	var before map[string]fingerprint
	for {
		w.watch(cfg.Files, before, loaded)
		if !w.wait(ctx, signals) {
			return
		}
		before, loaded = fingerprints(cfg.Files), time.Now()
		cfg = r.reload(ctx, cfg)
		debug.FreeOSMemory() // what the registry before took
	}
}

// reload loads the configuration and applies it. It returns the one that is in force then.
func (r *Reloader) reload(ctx context.Context, current *config.Config) *config.Config {
	next, err := config.Load(current.Path)
	if err == nil {
		err = r.Apply(ctx, next)
	}
	if err != nil {
		r.logProblems(current.Path, err)
		return current
	}
	if next.Log != current.Log {
		r.Log.Warn("changes of `log` take effect at the next start", "file", current.Path)
	}
	r.Log.Info("configuration reloaded", "file", current.Path)
	return next
}

// logProblems logs each problem of a configuration that could not be put in force.
func (r *Reloader) logProblems(path string, err error) {
	r.Log.Error("the configuration could not be reloaded; the one before stays in force", "file", path)
	for problem := range strings.SplitSeq(err.Error(), "\n") {
		r.Log.Error(problem)
	}
}
