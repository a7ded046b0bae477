package reload

import (
	"context"
	"crypto/sha256"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// How long a burst of changes may pause before it is over, and how long it may go on before it counts all
// the same.
const (
	quiet   = 100 * time.Millisecond
	longest = 2 * time.Second
)

// poll is how often a watcher looks at the files where no event tells it to: not every file system has events, a
// folder may be deleted and come back, and a machine may be out of inotify instances.
const poll = 5 * time.Second

// A watcher tells when files no longer hold what was read from them.
type watcher struct {
	folders *fsnotify.Watcher // nil where there are no events
	events  <-chan fsnotify.Event
	errors  <-chan error
	poll    time.Duration
	digest  func(files []string) [sha256.Size]byte

	files []string
	read  [sha256.Size]byte      // the digest of what was read from the files
	known map[string]fingerprint // of the files when their digest was last compared with that
}

func newWatcher() *watcher {
	folders, err := fsnotify.NewWatcher()
	if err != nil {
		return &watcher{poll: poll, digest: config.Digest}
	}
	return &watcher{folders: folders, events: folders.Events, errors: folders.Errors, poll: poll, digest: config.Digest}
}

func (w *watcher) close() {
	if w.folders != nil {
		w.folders.Close()
	}
}

// watch makes these the files that are watched. Read is the digest of what was read from them.
func (w *watcher) watch(files []string, read [sha256.Size]byte) {
	w.files, w.read = files, read
	w.known = nil // they may have changed since they were read: the first look compares
	w.watchFolders()
}

// watchFolders watches the folders of the files and of what they lead to, and no others.
func (w *watcher) watchFolders() {
	if w.folders == nil {
		return
	}
	wanted := map[string]bool{}
	for _, file := range w.files {
		wanted[filepath.Dir(file)] = true
		if target, err := filepath.EvalSymlinks(file); err == nil {
			wanted[filepath.Dir(target)] = true
		}
	}
	for _, folder := range w.folders.WatchList() {
		if !wanted[folder] {
			_ = w.folders.Remove(folder)
		}
	}
	for folder := range wanted {
		_ = w.folders.Add(folder) // again, where it was deleted and made anew
	}
}

// wait waits until the files have changed and a moment has passed without another change, for a signal, or for a
// requester, which it returns. It returns false when ctx ends.
func (w *watcher) wait(ctx context.Context, signals <-chan os.Signal, requests <-chan requester) (requester, bool) {
	looks := time.NewTicker(w.poll)
	defer looks.Stop()
	var b burst
	b.goOn() // the files may have changed since they were read
	for {
		select {
		case <-ctx.Done():
			return nil, false
		case <-signals:
			return nil, true
		case r := <-requests:
			return r, true
		case <-w.events:
			b.goOn()
			continue
		case <-w.errors: // events were lost
			b.goOn()
			continue
		case <-b.over:
		case <-b.late:
		case <-looks.C:
		}
		b = burst{}
		if w.changed() {
			return nil, true
		}
	}
}

// A burst of changes is over when it has paused for a while, and counts all the same when it goes on for too long.
type burst struct{ over, late <-chan time.Time }

func (b *burst) goOn() {
	b.over = time.After(quiet)
	if b.late == nil {
		b.late = time.After(longest)
	}
}

// changed reports whether the files hold something else than was read. It reads them only where their fingerprints
// don't rule that out: the folders may be busy, and the files large.
func (w *watcher) changed() bool {
	now := fingerprints(w.files)
	if maps.Equal(now, w.known) {
		return false
	}
	// A file that changes from here on has another fingerprint at the next look, and a link to another folder that is
	// set from here on has another target.
	w.known = now
	maps.DeleteFunc(w.known, func(_ string, f fingerprint) bool { return f.isRecent() })
	w.watchFolders()
	return w.digest(w.files) != w.read
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

// coarsest is the resolution of the times that the coarsest file system keeps.
const coarsest = 2 * time.Second

// isRecent reports whether the file changed so shortly before now that another change may have the same time, and so
// the same fingerprint.
func (f fingerprint) isRecent() bool { return f.changed > time.Now().Add(-coarsest).UnixNano() }
