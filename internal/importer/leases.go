package importer

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// A Lease is a binding that a DHCP server made, of one address.
type Lease struct {
	registry.Binding
	Expires time.Time // the zero Time if the lease never ends
}

// ErrEmpty is the error of files of leases without a single byte. Some servers leave such a file when there is no lease,
// and so does a server that could not write it.
var ErrEmpty = errors.New("the file is empty")

// ReadLeases reads the leases that a DHCP server keeps in files, the older ones first, as they are at a time: those that
// have ended are left out. It returns an error if the files don't show all leases: a file can't be read, is of another
// format, or is just being written.
//
// A server that appends to its file may not have written all of the last line or block. That does not count then: the rest
// of the file is as good as before.
func ReadLeases(paths []string, f Format, now time.Time) ([]Lease, []LeftOut, error) {
	var files []*source
	size := 0
	for _, path := range paths {
		s, err := readLeases(path, f, now)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", displayName(path), err)
		}
		files = append(files, s)
		size += len(s.data)
	}
	if size == 0 {
		return nil, nil, ErrEmpty
	}
	addKeaLeases(files)
	byAddress := map[netip.Addr]Lease{}
	var leftOut []LeftOut
	for _, s := range files {
		s.sortLeftOut()
		leftOut = append(leftOut, s.leftOut...)
		for _, n := range s.statedNetworks() {
			for _, lease := range n.hosts {
				byAddress[lease.First] = lease // the last one counts: servers write the newest lease last
			}
		}
	}
	if i := slices.IndexFunc(leftOut, func(l LeftOut) bool { return !l.Expected }); i >= 0 && len(byAddress) == 0 {
		return nil, leftOut, errors.New(leftOut[i].String())
	}
	return sortedLeases(byAddress), leftOut, nil
}

func sortedLeases(byAddress map[netip.Addr]Lease) []Lease {
	all := make([]Lease, 0, len(byAddress))
	for _, lease := range byAddress {
		all = append(all, lease)
	}
	slices.SortFunc(all, func(a, b Lease) int { return a.First.Compare(b.First) })
	return all
}

// readLeases reads one file of leases.
func readLeases(path string, f Format, now time.Time) (*source, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, withoutPath(err)
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	data, err := readAll(path, nil)
	if err != nil {
		return nil, err
	}
	s := newSource(path, Options{Now: now})
	if s.data, err = decodeText(data); err == nil {
		s.data, err = whole(s.data, f)
	}
	if err != nil {
		return nil, err
	}
	if s.data != "" {
		f.read(s)
	}
	return s, nil
}

// whole returns the part of a file that is completely written, or an error if the rest matters.
func whole(data string, f Format) (string, error) {
	switch f {
	case KeaLeases: // appends lines
		return data[:strings.LastIndexByte(data, '\n')+1], nil
	case DHCPD: // appends blocks
		if start := strings.LastIndex(data, "\nlease "); start >= 0 && !strings.Contains(data[start:], "\n}") {
			return data[:start+1], nil
		}
	case DnsmasqLeases: // writes all lines again
		if data != "" && !strings.HasSuffix(data, "\n") {
			return "", errors.New("the last line is not complete: the file is being written, or its file system is full")
		}
	}
	return data, nil
}

// KeaLeaseFiles returns the files that together have the leases of Kea's file at a path, the older ones first. Those that
// exist beside it are from kea-lfc(8): see olderKeaLeases.
func KeaLeaseFiles(path string) []string {
	if isFile(path + ".completed") { // it has all of the other two, which may be deleted already
		return []string{path + ".completed", path}
	}
	var files []string
	for _, older := range []string{path + ".2", path + ".1"} {
		if isFile(older) {
			files = append(files, older)
		}
	}
	return append(files, path)
}

func isFile(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// lasting makes the hosts that read adds lose their addresses at a time.
func (s *source) lasting(until time.Time, read func()) {
	s.until = until
	read()
	s.until = time.Time{}
}
