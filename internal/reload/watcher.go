package reload

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// How long a burst of changes may pause before it is over, and how long it may go on before it counts all
// the same.
const (
	quiet   = 100 * time.Millisecond
	longest = 2 * time.Second
)

// poll is how often the files are looked at where no event says so: not every file system has events, a
// folder may be deleted and come back, and a machine may be out of inotify instances.
const poll = 5 * time.Second

// A watcher tells when files are not as they were when they were last read.
type watcher struct {
	notify *fsnotify.Watcher // nil where there are no events
	events <-chan fsnotify.Event
	errors <-chan error
	files  []string
	known  map[string]fingerprint
	stale  bool // one was written since it was read
}

func newWatcher() *watcher {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return &watcher{}
	}
	return &watcher{notify: notify, events: notify.Events, errors: notify.Errors}
}

func (w *watcher) close() {
	if w.notify != nil {
		w.notify.Close()
	}
}

// watch makes these the files that are watched. They were read after the time given, and were as in before
// then, as far as that is known.
func (w *watcher) watch(files []string, before map[string]fingerprint, read time.Time) {
	if w.notify != nil {
		w.watchFolders(files)
	}
	w.files, w.known = files, fingerprints(files)
	w.stale = false
	for file, now := range w.known {
		was, known := before[file]
		if known && was != now || !known && now.mayBeNewerThan(read) {
			w.stale = true
		}
	}
}

// watchFolders watches the folders of files and of what they lead to, and no others.
func (w *watcher) watchFolders(files []string) {
	wanted := map[string]bool{}
	for _, file := range files {
		wanted[filepath.Dir(file)] = true
		if target, err := filepath.EvalSymlinks(file); err == nil {
			wanted[filepath.Dir(target)] = true
		}
	}
	for _, folder := range w.notify.WatchList() {
		if !wanted[folder] {
			w.notify.Remove(folder)
		}
	}
	for folder := range wanted {
		w.notify.Add(folder) // again, where it was deleted and made anew
	}
}

// wait waits until a file has changed and a moment has passed without another change, for a signal, or for
// somebody who asks, whom it returns. It returns false when ctx ends.
func (w *watcher) wait(ctx context.Context, signals <-chan os.Signal, asked <-chan request) (request, bool) {
	looks := time.NewTicker(poll)
	defer looks.Stop()
	var over, late <-chan time.Time
	if w.stale {
		over = time.After(quiet)
	}
	for {
		select {
		case <-ctx.Done():
			return nil, false
		case <-signals:
			return nil, true
		case r := <-asked:
			return r, true
		case <-w.errors: // events were lost: look
			over = time.After(quiet)
			continue
		case <-w.events:
			over = time.After(quiet)
			if late == nil {
				late = time.After(longest)
			}
			continue
		case <-over:
		case <-late:
		case <-looks.C:
		}
		over, late = nil, nil
		if w.stale || !maps.Equal(fingerprints(w.files), w.known) {
			return nil, true
		}
	}
}

// A fingerprint changes when a file is written, replaced, or made to lead elsewhere. The zero one is that of
// a file that isn't there.
type fingerprint struct {
	device, inode uint64
	size          int64
	changed       int64 // of the inode, in nanoseconds since 1970: a rename counts
}

func fingerprints(files []string) map[string]fingerprint {
	all := map[string]fingerprint{}
	for _, file := range files {
		var stat unix.Stat_t
		if unix.Stat(file, &stat) != nil {
			all[file] = fingerprint{}
			continue
		}
		all[file] = fingerprint{uint64(stat.Dev), stat.Ino, stat.Size, stat.Ctim.Nano()}
	}
	return all
}

// addMissing notes in known which of the files that a failed load named are not there: they weren't for it, either.
func addMissing(known map[string]fingerprint, named []string) {
	for file, now := range fingerprints(named) {
		if _, ok := known[file]; !ok && now == (fingerprint{}) {
			known[file] = now
		}
	}
}

// clockTick is how far the times that file systems note may lag behind the clock.
const clockTick = 10 * time.Millisecond

// mayBeNewerThan reports whether a file that was there at a time may have changed since.
func (f fingerprint) mayBeNewerThan(t time.Time) bool {
	return f == fingerprint{} || f.changed > t.Add(-clockTick).UnixNano()
}
