package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// The files in the folder of a store.
const (
	allocationsName = "allocations" // all allocations
	journalName     = "journal"     // the changes since, and some before
	olderName       = "journal.1"   // older changes
	newSuffix       = ".new"        // of a file that will replace another one
)

// journalLimit is the size of a journal, in bytes, after which another one begins: about 100 thousand changes.
const journalLimit = 16 << 20

// The flags with which files are opened for writing. O_APPEND also after O_TRUNC: undo cuts the file.
const (
	newFile  = os.O_CREATE | os.O_WRONLY | os.O_TRUNC | os.O_APPEND
	appended = os.O_CREATE | os.O_WRONLY | os.O_APPEND
)

// File is a [Store] in a folder.
//
// Commit appends to the journal, so that a change costs the same with a million allocations as with one. From time to
// time Maintain writes the file of all allocations anew, and replaces the older of two journals. The allocations are
// those of the file, with the changes in the journals whose revision is higher than the file's.
type File struct {
	disk  disk
	lock  *os.File // the folder, locked; nil in tests
	limit int64    // of the journal

	table    *Table
	kept     []string // lines of the file of all allocations that could not be read, as they are
	problems []string
	written  uint64 // the revision of the file of all allocations
	broken   error  // why the journal cannot be written; nil if it can

	hasAllocations bool // the file of all allocations was there, or has been written
	isRemaking     bool // the files are being written anew, and those in the folder are this store's

	// Remade is called, unless it is nil, after all files were written anew, because somebody had deleted or moved them.
	Remade func()

	journal file  // nil if it could not be opened
	size    int64 // of the journal
	retryAt int64 // the size at which Maintain tries again

	names sync.Mutex // held while journals are renamed or opened: History is called from other goroutines
}

// Open opens the store in a folder, and makes the folder if it is missing. It returns an error if another process has
// opened it. Mistakes in the files, such as an operator's, are no errors: Problems has them. Neither is a folder that
// can't be written: Commit then returns the error.
func Open(path string) (*File, error) {
	if err := makeFolder(path); err != nil {
		return nil, err
	}
	lock, err := lockFolder(path)
	if err != nil {
		return nil, err
	}
	f, err := open(folder{path}, journalLimit)
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("opening the store in %s: %w", path, err)
	}
	f.lock = lock
	return f, nil
}

// Exists reports whether there is a store in a folder.
func Exists(path string) bool {
	return slices.ContainsFunc([]string{allocationsName, journalName}, func(name string) bool {
		_, err := os.Stat(filepath.Join(path, name))
		return !errors.Is(err, fs.ErrNotExist)
	})
}

// lockFolder locks a folder until the file that it returns is closed, or this process ends.
func lockFolder(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the folder of the store: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("another arpfabric uses the store in %s; name another folder in store.folder", path)
		}
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return f, nil
}

func open(d disk, limit int64) (*File, error) {
	f := &File{disk: d, limit: limit, table: NewTable()}
	if err := f.load(); err != nil {
		return nil, err
	}
	f.hasAllocations = d.exists(allocationsName)
	if err := f.openJournal(); err != nil {
		f.broken = fmt.Errorf("the store cannot be changed: %w; repair that, and start arpfabric again", err)
	}
	return f, nil
}

// openJournal opens the journal for Commit.
func (f *File) openJournal() (err error) {
	if f.journal, err = f.disk.open(journalName, appended); err != nil {
		return err
	}
	// The last line is incomplete after a crash while it was written. Nobody was told of that change, and the next line
	// must not continue it.
	return errors.Join(f.journal.Truncate(f.size), f.journal.Sync(), f.disk.sync())
}

// Table implements [Store].
func (f *File) Table() *Table { return f.table }

// Problems returns the mistakes in the files, each as "file:line: problem". The lines had no effect, but those of the
// file of all allocations stay in it.
func (f *File) Problems() []string { return f.problems }

// Writable returns an error if the store takes no changes.
func (f *File) Writable() error { return f.broken }

// Commit implements [Store].
func (f *File) Commit(changes []Change) error {
	if f.broken != nil {
		return f.broken
	}
	var lines []byte
	for i := range changes {
		changes[i].Revision = f.table.revision + 1 + uint64(i)
		lines = appendChange(lines, changes[i])
	}
	if err := f.append(lines); err != nil {
		return err
	}
	f.size += int64(len(lines))
	for _, c := range changes {
		f.table.Apply(c)
	}
	return nil
}

// append appends lines to the journal, and returns when they are durable and the next start will read them.
func (f *File) append(lines []byte) error {
	if err := f.write(lines); err != nil {
		return f.undo(err)
	}
	if f.isInPlace() {
		return nil
	}
	// If somebody has moved the journal and brings it back, it must not have a change that nobody was told of.
	if err := f.undo(errGone); f.broken != nil {
		return err
	}
	if err := f.remake(); err != nil {
		return err
	}
	if err := f.write(lines); err != nil {
		return f.undo(err)
	}
	if !f.isInPlace() {
		return f.undo(errGone)
	}
	return nil
}

func (f *File) write(lines []byte) error {
	_, err := f.journal.Write(lines)
	if err == nil {
		err = f.journal.Sync()
	}
	return err
}

// undo removes what Commit has written, after an error. If that fails, the journal may end in a change that nobody was
// told of, or in half a line, so it takes no more changes.
func (f *File) undo(err error) error {
	err = fmt.Errorf("writing the journal of the store: %w", err)
	if failed := errors.Join(f.journal.Truncate(f.size), f.journal.Sync()); failed != nil {
		f.broken = fmt.Errorf("the store cannot be changed until arpfabric starts again: %w", errors.Join(err, failed))
		return f.broken
	}
	return err
}

// Maintain implements [Store].
func (f *File) Maintain() error {
	if f.broken != nil {
		return nil
	}
	if !f.isInPlace() {
		if err := f.remake(); err != nil {
			return err
		}
	}
	if f.size < max(f.limit, f.retryAt) {
		return nil
	}
	f.retryAt = f.size + f.limit/16 // if it fails: writing a million allocations after each change takes too long
	if err := f.writeAllocations(); err != nil {
		return fmt.Errorf("writing the allocations of the store: %w", err)
	}
	if err := f.replaceJournal(); err != nil {
		return fmt.Errorf("beginning another journal of the store: %w", err)
	}
	return nil
}

// writeAllocations replaces the file of all allocations.
func (f *File) writeAllocations() error {
	if err := replace(f.disk, allocationsName, f.writeAll); err != nil {
		return err
	}
	f.written, f.hasAllocations = f.table.revision, true
	return nil
}

// replaceJournal begins a new journal. Until it returns, changes are appended to the one before, whatever its name is
// by then: load reads both.
func (f *File) replaceJournal() error {
	next, err := f.disk.open(journalName+newSuffix, newFile)
	if err != nil {
		return err
	}
	f.names.Lock()
	defer f.names.Unlock()
	err = f.disk.rename(journalName, olderName)
	if errors.Is(err, fs.ErrNotExist) { // an earlier call came to here
		err = nil
	}
	if err == nil {
		err = f.disk.rename(journalName+newSuffix, journalName)
	}
	if err == nil {
		err = f.disk.sync()
	}
	if err != nil {
		next.Close()
		return err
	}
	f.journal.Close()
	f.journal, f.size, f.retryAt = next, 0, 0
	return nil
}

// Close writes the file of all allocations, so that it is complete for an operator to read and edit, and unlocks the
// folder.
func (f *File) Close() error {
	var err error
	switch {
	case f.broken != nil:
	case !f.isInPlace():
		err = f.remake()
	case f.written != f.table.revision:
		err = f.writeAllocations()
	}
	if f.journal != nil {
		err = errors.Join(err, f.journal.Close())
	}
	if f.lock != nil {
		err = errors.Join(err, f.lock.Close())
	}
	return err
}

// History implements [Store].
func (f *File) History(q HistoryQuery) ([]Change, error) {
	journals, err := f.openJournals()
	if err != nil {
		return nil, err
	}
	var found []Change
	for _, j := range journals {
		defer j.Close()
		_, err := readLines(j, splitCompleteLines, func(_ int, line []byte) {
			if c, err := ParseChange(string(line)); err == nil && q.matches(c) {
				found = append(found, c)
			}
			if len(found) >= 2*q.Limit {
				found = slices.Delete(found, 0, len(found)-q.Limit)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return found[max(0, len(found)-q.Limit):], nil
}

// openJournals opens the journals that exist, the older one first.
func (f *File) openJournals() ([]file, error) {
	f.names.Lock()
	defer f.names.Unlock()
	var all []file
	for _, name := range []string{olderName, journalName} {
		j, err := f.disk.open(name, os.O_RDONLY)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, j)
	}
	return all, nil
}
