package config

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// hosts has the addresses of the names in files of the format of hosts(5), by the name in lower case.
type hosts map[string][]hostAddress

type hostAddress struct {
	addr   netip.Addr
	origin registry.Origin
}

// readHosts reads the hosts_files of the network. It reports files that can't be read, and invalid lines.
func (s *source) readHosts() {
	s.hosts = hosts{}
	for _, entry := range s.raw.HostsFiles {
		path, file := s.open(entry)
		if file == nil {
			s.incomplete = true
			continue
		}
		s.readHostsFile(entry, path, file)
		file.Close()
	}
}

// readHostsFile adds the names of a file: an address a line, and then its names. Loopback and IPv6 addresses do not count.
func (s *source) readHostsFile(entry value, path string, file *os.File) {
	lines, bad := bufio.NewReaderSize(file, maxEthersLine), 0
	for number := 1; bad < maxFileProblems; number++ {
		line, err := readLine(lines)
		if err == io.EOF {
			return
		}
		line, _, _ = bytes.Cut(line, []byte("#"))
		words := strings.Fields(string(line))
		if len(words) == 0 && err == nil {
			continue
		}
		origin := registry.Origin{Source: path, Line: number}
		if err == nil {
			err = s.hosts.add(words, origin)
		}
		if err != nil {
			bad++
			s.problems = append(s.problems, Problem{path, number, entry.path, err.Error()})
			s.incomplete = true
		}
		if err != nil && err != errLongLine && len(words) == 0 {
			return // reading cannot go on
		}
	}
	s.add(entry.place, "%s has %d problems; the rest was not read", path, bad)
}

// add adds the names of a line.
func (h hosts) add(words []string, origin registry.Origin) error {
	addr, err := netip.ParseAddr(words[0])
	switch {
	case err != nil || len(words) < 2:
		return fmt.Errorf("want an address and a name, as in 10.239.0.101 web")
	case !addr.Is4() || addr.IsLoopback():
		return nil
	}
	for _, name := range words[1:] {
		name = strings.ToLower(name)
		if !slices.ContainsFunc(h[name], func(a hostAddress) bool { return a.addr == addr }) {
			h[name] = append(h[name], hostAddress{addr, origin})
		}
	}
	return nil
}

// resolve returns the address of a name. It never asks DNS, whose answer may be another one tomorrow.
func (h hosts) resolve(name string) (netip.Addr, error) {
	switch found := h[strings.ToLower(name)]; {
	case len(h) == 0:
		return netip.Addr{}, fmt.Errorf("%s is a name, and names are not resolved: write the host's IPv4 address, or list a file "+
			"that has it, such as /etc/hosts, under hosts_files", quote(name))
	case len(found) == 0:
		return netip.Addr{}, fmt.Errorf("%s is a name without an IPv4 address in the hosts_files: add it there, or write the address",
			quote(name))
	case len(found) > 1:
		return netip.Addr{}, fmt.Errorf("%s has more than one address: %s (%s) and %s (%s); write the one that the MAC has",
			quote(name), found[0].addr, found[0].origin, found[1].addr, found[1].origin)
	default:
		return found[0].addr, nil
	}
}
