package source

import (
	"context"
	"crypto/sha256"
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
	return leases, leftOut, err
}

// wait implements [follower].
func (f *leaseFile) wait(ctx context.Context, ends <-chan time.Time) (bool, error) {
	if end, _ := filewatch.Wait(ctx, f.watcher, ends); !end.IsZero() {
		return false, nil
	}
	select {
	case <-ctx.Done():
	case <-f.rest:
	}
	return true, ctx.Err()
}
