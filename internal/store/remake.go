package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// makeFolder makes the folder of a store, if it is missing, and makes its name durable.
func makeFolder(path string) error {
	err := os.Mkdir(path, 0o700)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return fmt.Errorf("making the folder of the store: %w", err)
	}
	return folder{filepath.Dir(path)}.sync()
}

// isInPlace reports whether the folder still has the files that the next start will read. Somebody may delete or move
// them, and the journal that is open then takes changes that nobody will find.
func (f *File) isInPlace() bool {
	return f.hasJournal() && (!f.hasAllocations || f.disk.exists(allocationsName))
}

// hasJournal reports whether the folder has the journal that is open. If Maintain could not replace that, it has the
// older one's name.
func (f *File) hasJournal() bool {
	return f.disk.names(journalName, f.journal) || f.disk.names(olderName, f.journal)
}

// remake writes what is missing anew, from the table.
func (f *File) remake() error {
	write := f.writeFiles
	if f.hasJournal() {
		write = f.writeAllocations
	}
	if err := write(); err != nil {
		return fmt.Errorf("%w, and cannot be written again: %w", errGone, err)
	}
	if f.Remade != nil {
		f.Remade()
	}
	return nil
}

// errGone is the error if the files in the folder are not those of the store that is open.
var errGone = errors.New("the files of the store have been deleted or moved")

// writeFiles makes the folder again, and writes all files anew.
func (f *File) writeFiles() error {
	if err := f.remakeFolder(); err != nil {
		return err
	}
	if err := f.writeAllocations(); err != nil {
		return err
	}
	next, err := f.disk.open(journalName, newFile)
	if err != nil {
		return err
	}
	if err := errors.Join(next.Sync(), f.disk.sync()); err != nil {
		next.Close()
		return err
	}
	f.names.Lock()
	defer f.names.Unlock()
	f.journal.Close()
	f.journal, f.size, f.retryAt, f.isRemaking = next, 0, 0, false
	return nil
}

// remakeFolder makes and locks the folder, if the path does not name the one that is locked. It returns an error rather
// than have files replaced that this store has not written, such as those of a backup.
func (f *File) remakeFolder() error {
	if f.lock == nil {
		return nil
	}
	path := f.lock.Name()
	if err := makeFolder(path); err != nil {
		return err
	}
	locked, err := f.lock.Stat()
	if err != nil {
		return err
	}
	named, err := os.Stat(path)
	if err != nil {
		return err
	}
	isNew := !os.SameFile(locked, named)
	if !f.isRemaking && (f.disk.exists(journalName) || isNew && f.disk.exists(allocationsName)) {
		return fmt.Errorf("the files in %s are not those that arpfabric has opened; start arpfabric again to use them, or move "+
			"them away, and it writes its own anew", path)
	}
	if isNew {
		lock, err := lockFolder(path)
		if err != nil {
			return err
		}
		f.lock.Close()
		f.lock = lock
	}
	f.isRemaking = true
	return nil
}
