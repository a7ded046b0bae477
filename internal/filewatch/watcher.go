package filewatch

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

// Longest is how long a burst of changes may go on before it counts all the same.
const Longest = 2 * time.Second

// Poll is how often a watcher looks at the files where no event tells it to: not every file system has events, a
// folder may be deleted and come back, and a machine may be out of inotify instances.
const Poll = 5 * time.Second

// A Watcher tells when files no longer hold what was read from them. Its fields may be changed before the first Wait.
type Watcher struct {
	Quiet  time.Duration // how long a burst of changes may pause before it is over
	Poll   time.Duration
	Digest func(files []string) [sha256.Size]byte
	Events <-chan fsnotify.Event
	Errors <-chan error // each says that events were lost

	folders *fsnotify.Watcher // nil where there are no events

	files []string
	read  [sha256.Size]byte      // the digest of what was read from the files
	known map[string]fingerprint // of the files when their digest was last compared with that
}

// New makes a Watcher, which watches nothing yet. Close it.
func New(quiet time.Duration) *Watcher {
	w := &Watcher{Quiet: quiet, Poll: Poll, Digest: config.Digest}
	if folders, err := fsnotify.NewWatcher(); err == nil {
		w.folders, w.Events, w.Errors = folders, folders.Events, folders.Errors
	}
	return w
}

// Close ends the watching.
func (w *Watcher) Close() {
	if w.folders != nil {
		w.folders.Close()
	}
}

// Watch makes these the files, and folders of files, that are watched. Read is the digest of what was read from them.
func (w *Watcher) Watch(files []string, read [sha256.Size]byte) {
	w.files, w.read = files, read
	w.known = nil // they may have changed since they were read: the first look compares
	w.watchFolders()
}

// Folders returns the folders that the kernel reports changes of, or nil where there are no events.
func (w *Watcher) Folders() []string {
	if w.folders == nil {
		return nil
	}
	return w.folders.WatchList()
}

// watchFolders watches the folders of the files and of what they lead to, and no others.
func (w *Watcher) watchFolders() {
	if w.folders == nil {
		return
	}
	wanted := map[string]bool{}
	for _, file := range w.files {
		wanted[filepath.Dir(file)] = true
		target, err := filepath.EvalSymlinks(file)
		if err != nil {
			continue
		}
		wanted[filepath.Dir(target)] = true
		if info, err := os.Stat(target); err == nil && info.IsDir() {
			wanted[target] = true // its names count
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

// Wait waits until the files of a Watcher have changed and a moment has passed without another change, or until something
// comes from others, which it returns. It returns false when ctx ends.
func Wait[T any](ctx context.Context, w *Watcher, others <-chan T) (other T, ok bool) {
	looks := time.NewTicker(w.Poll)
	defer looks.Stop()
	b := burst{quiet: w.Quiet}
	b.goOn() // the files may have changed since they were read
	for {
		select {
		case <-ctx.Done():
			return other, false
		case other = <-others:
			return other, true
		case <-w.Events:
			b.goOn()
			continue
		case <-w.Errors:
			b.goOn()
			continue
		case <-b.over:
		case <-b.late:
		case <-looks.C:
		}
		b = burst{quiet: w.Quiet}
		if w.changed() {
			return other, true
		}
	}
}

// A burst of changes is over when it has paused for a while, and counts all the same when it goes on for too long.
type burst struct {
	quiet      time.Duration
	over, late <-chan time.Time
}

func (b *burst) goOn() {
	b.over = time.After(b.quiet)
	if b.late == nil {
		b.late = time.After(Longest)
	}
}

// changed reports whether the files hold something else than was read. It reads them only where their fingerprints
// don't rule that out: the folders may be busy, and the files large.
func (w *Watcher) changed() bool {
	now := fingerprints(w.files)
	if maps.Equal(now, w.known) {
		return false
	}
	// A file that changes from here on has another fingerprint at the next look, and a link to another folder that is
	// set from here on has another target.
	w.known = now
	maps.DeleteFunc(w.known, func(_ string, f fingerprint) bool { return f.isRecent() })
	w.watchFolders()
	return w.Digest(w.files) != w.read
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
