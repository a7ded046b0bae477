package reload

import (
	"sync"
	"time"

	"github.com/arpfabric/arpfabric/config"
)

// Status is what is in force, and how reloads went.
type Status struct {
	Files      []string  // that the configuration was read from
	Loaded     time.Time // when that began
	Generation uint64    // 1 at the start, one more with each reload that succeeded
	Failures   uint64    // reloads that failed
	LastError  error     // of the last reload; nil if it succeeded
	FailedAt   time.Time // when the last one failed; the zero Time if it succeeded

	// NeedRestart has the keys that are as at the start although the files have other values now.
	NeedRestart []string
}

// Status returns the status as it is now. It may be called from several goroutines at once.
func (r *Reloader) Status() Status {
	r.state.mu.Lock()
	defer r.state.mu.Unlock()
	return r.state.status
}

type state struct {
	mu     sync.Mutex
	start  *config.Config
	config *config.Config // in force
	status Status
}

func (s *state) loaded(c *config.Config, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.start == nil {
		s.start = c
	}
	s.config = c
	s.status = Status{
		Files: c.Files, Loaded: at, Generation: s.status.Generation + 1, Failures: s.status.Failures,
		NeedRestart: needRestart(s.start, c),
	}
}

// needRestart returns the keys with other values in next than in current that a reload does not apply.
func needRestart(current, next *config.Config) []string {
	var keys []string
	for _, key := range []struct {
		name    string
		changed bool
	}{
		{"api", next.API != current.API}, {"metrics", next.Metrics != current.Metrics}, {"page", next.Page != current.Page},
		{"log", next.Log != current.Log},
		{"store", !next.Store.IsSame(current.Store)}, {"datapath", next.Datapath != current.Datapath},
	} {
		if key.changed {
			keys = append(keys, key.name)
		}
	}
	return keys
}

func (s *state) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Failures++
	s.status.LastError, s.status.FailedAt = err, time.Now()
}
