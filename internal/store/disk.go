package store

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// A disk is the folder of a store. The tests replace it by one that fails, or loses its power, at any call.
type disk interface {
	// open opens a file of the folder, as [os.OpenFile] does.
	open(name string, flags int) (file, error)
	rename(from, to string) error

	// exists reports whether the folder has a file with a name, and names whether it has an open one by the name.
	exists(name string) bool
	names(name string, f file) bool

	// path returns a file's path for messages.
	path(name string) string

	// sync makes the names in the folder durable: new files, and renames.
	sync() error
}

type file interface {
	io.ReadWriteCloser
	Sync() error
	Truncate(size int64) error
}

// folder is the disk of a running fabric.
type folder struct{ name string }

// mode keeps other users from the files: who may read allocations is up to the API.
const mode = 0o600

func (d folder) path(name string) string { return filepath.Join(d.name, name) }

func (d folder) open(name string, flags int) (file, error) {
	f, err := os.OpenFile(d.path(name), flags, mode)
	if err != nil {
		return nil, err // not f, which would be an interface that is not nil
	}
	return f, nil
}

func (d folder) rename(from, to string) error {
	return os.Rename(d.path(from), d.path(to))
}

// exists reports an error as a file that is there: only one that is certainly missing is written again.
func (d folder) exists(name string) bool {
	_, err := os.Stat(d.path(name))
	return !errors.Is(err, fs.ErrNotExist)
}

func (d folder) names(name string, f file) bool {
	opened, err := f.(*os.File).Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(d.path(name))
	return err == nil && os.SameFile(opened, named)
}

func (d folder) sync() error {
	f, err := os.Open(d.name)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// replace replaces a file, or makes it, so that it has either the old content or the new one, whatever fails.
func replace(d disk, name string, write func(io.Writer) error) error {
	next, err := d.open(name+newSuffix, newFile)
	if err != nil {
		return err
	}
	if err := errors.Join(write(next), next.Sync(), next.Close()); err != nil {
		return err
	}
	return errors.Join(d.rename(name+newSuffix, name), d.sync())
}

// ReplaceFile replaces a file in a folder, which it makes if it is missing, so that after a crash the file has either the
// old content or the new one.
func ReplaceFile(path, name string, write func(io.Writer) error) error {
	if err := makeFolder(path); err != nil {
		return err
	}
	return replace(folder{path}, name, write)
}
