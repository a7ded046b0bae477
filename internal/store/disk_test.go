package store

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
)

var (
	errPower = errors.New("the power is off")
	errInput = errors.New("input/output error")
)

// A memoryDisk is a disk that knows what survives a loss of power: what was synced before.
type memoryDisk struct {
	files, durable map[string]*inode // by name
	calls          int
	failAt         int                           // the call that fails, from 1; 0 for none
	isPowerLoss    bool                          // all calls after that fail, too
	renamed        func(names map[string]*inode) // does the last rename alone; nil if it was synced
}

type inode struct{ data, durable []byte }

func newMemoryDisk() *memoryDisk {
	return &memoryDisk{files: map[string]*inode{}, durable: map[string]*inode{}}
}

// fails counts a call, and returns its error if it is to fail.
func (d *memoryDisk) fails() error {
	d.calls++
	switch {
	case d.failAt > 0 && d.isPowerLoss && d.calls >= d.failAt:
		return errPower
	case d.failAt > 0 && d.calls == d.failAt:
		return errInput
	}
	return nil
}

// The names in a folder that were not synced and survive.
const (
	noNames  = "no names"
	allNames = "all names"
	lastName = "the last rename" // a file system may write names in any order
)

// afterCrash returns the disk after a loss of power. Of the data that was not synced, the given share survives, in
// percent.
func (d *memoryDisk) afterCrash(kept string, share int) *memoryDisk {
	next := newMemoryDisk()
	names := maps.Clone(d.durable)
	switch {
	case kept == allNames:
		names = d.files
	case kept == lastName && d.renamed != nil:
		d.renamed(names)
	}
	for name, i := range names {
		data := i.durable
		if unsynced := len(i.data) - len(data); unsynced >= 0 {
			data = i.data[:len(data)+unsynced*share/100]
		}
		next.files[name] = &inode{bytes.Clone(data), bytes.Clone(data)}
	}
	next.durable = maps.Clone(next.files)
	return next
}

func (d *memoryDisk) path(name string) string { return name }

func (d *memoryDisk) open(name string, flags int) (file, error) {
	if err := d.fails(); err != nil {
		return nil, err
	}
	i := d.files[name]
	switch {
	case i == nil && flags&os.O_CREATE == 0:
		return nil, fs.ErrNotExist
	case i == nil:
		i = &inode{}
		d.files[name] = i
	case flags&os.O_TRUNC != 0:
		i.data = nil
	}
	return &memoryFile{d, i, 0}, nil
}

func (d *memoryDisk) rename(from, to string) error {
	if err := d.fails(); err != nil {
		return err
	}
	if d.files[from] == nil {
		return fs.ErrNotExist
	}
	moved := d.files[from]
	d.renamed = func(names map[string]*inode) {
		names[to] = moved
		delete(names, from)
	}
	d.renamed(d.files)
	return nil
}

func (d *memoryDisk) exists(name string) bool { return d.files[name] != nil }

func (d *memoryDisk) names(name string, f file) bool { return d.files[name] == f.(*memoryFile).inode }

func (d *memoryDisk) sync() error {
	if err := d.fails(); err != nil {
		return err
	}
	d.durable, d.renamed = maps.Clone(d.files), nil
	return nil
}

type memoryFile struct {
	disk *memoryDisk
	*inode
	at int // of the next Read
}

func (f *memoryFile) Read(p []byte) (int, error) {
	if err := f.disk.fails(); err != nil {
		return 0, err
	}
	if f.at >= len(f.data) {
		return 0, io.EOF
	}
	n := copy(p, f.data[f.at:])
	f.at += n
	return n, nil
}

// Write writes half of what it should if it fails, as on a full disk.
func (f *memoryFile) Write(p []byte) (int, error) {
	if err := f.disk.fails(); err != nil {
		f.data = append(slices.Clip(f.data), p[:len(p)/2]...)
		return len(p) / 2, err
	}
	f.data = append(slices.Clip(f.data), p...)
	return len(p), nil
}

func (f *memoryFile) Sync() error {
	if err := f.disk.fails(); err != nil {
		return err
	}
	f.durable = bytes.Clone(f.data)
	return nil
}

func (f *memoryFile) Truncate(size int64) error {
	if err := f.disk.fails(); err != nil {
		return err
	}
	f.data = slices.Clip(f.data[:size])
	return nil
}

func (f *memoryFile) Close() error { return f.disk.fails() }
