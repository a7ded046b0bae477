package source

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/filewatch"
	"github.com/arpfabric/arpfabric/internal/importer"
)

// formats are the formats of the files of leases.
var formats = map[config.SourceKind]importer.Format{
	config.DnsmasqLeases: importer.DnsmasqLeases,
	config.KeaLeases:     importer.KeaLeases,
	config.ISCLeases:     importer.DHCPD,
	config.LibvirtStatus: importer.LibvirtLeases,
}

// quiet is how long a burst of changes pauses before the file is read: a guest uses its address as soon as it has it.
const quiet = 10 * time.Millisecond

// A leaseFile follows a file of leases, with the files to which its server moves older ones.
type leaseFile struct {
	config.Source
	watcher *filewatch.Watcher
	digest  [sha256.Size]byte // of what was read
	isEmpty bool              // what was read
	rest    <-chan time.Time  // when the files may be read again
}

func newLeaseFile(c config.Source) *leaseFile {
	return &leaseFile{Source: c, watcher: filewatch.New(quiet)}
}

func (f *leaseFile) close() { f.watcher.Close() }

// watched returns all files that may have leases.
func (f *leaseFile) watched() []string {
	if f.Kind == config.KeaLeases {
		return []string{f.Of, f.Of + ".1", f.Of + ".2", f.Of + ".completed"}
	}
	return []string{f.Of}
}

// current returns the files that together have the leases now, the older ones first.
func (f *leaseFile) current() []string {
	if f.Kind == config.KeaLeases {
		return importer.KeaLeaseFiles(f.Of)
	}
	return []string{f.Of}
}

// settled is how long nobody has touched an empty file of dnsmasq when it counts. Each minute, dnsmasq tries again to write
// what it could not.
const settled = 3 * time.Minute

// hasSettled reports whether dnsmasq has left an empty file because there are no leases.
func (f *leaseFile) hasSettled(now time.Time) bool {
	info, err := os.Stat(f.Of)
	return f.Kind == config.DnsmasqLeases && err == nil && now.Sub(info.ModTime()) >= settled
}

// read reads the files until they hold the same before and after: a server may write or move them meanwhile. If they never
// do, what was read last counts; the watcher notices the change.
func (f *leaseFile) read(_ context.Context, now time.Time) (leases []importer.Lease, leftOut []importer.LeftOut, err error) {
	const tries = 5
	began := time.Now()
	for range tries {
		f.digest = config.Digest(f.watched())
		leases, leftOut, err = importer.ReadLeases(f.current(), formats[f.Kind], now)
		if config.Digest(f.watched()) == f.digest {
			break
		}
	}
	// Reading takes half of the time at most, however often a large file changes.
	f.rest = time.After(time.Since(began))
	f.watcher.Watch(f.watched(), f.digest)
	if f.isEmpty = errors.Is(err, importer.ErrEmpty); f.isEmpty && f.hasSettled(now) {
		err = nil
	}
	return leases, leftOut, err
}

// wait implements [follower]. An empty file is read again from time to time.
func (f *leaseFile) wait(ctx context.Context, ends <-chan time.Time) (bool, error) {
	if end, _ := filewatch.Wait(ctx, f.watcher, ends); !end.IsZero() {
		return f.isEmpty, nil
	}
	select {
	case <-ctx.Done():
	case <-f.rest:
	}
	return true, ctx.Err()
}
