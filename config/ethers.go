package config

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// maxFileProblems is the number of problems that are reported for one ethers file. A file with more is probably not an
// ethers file.
const maxFileProblems = 1000

// fromFile streams the bindings of an ethers file, and reports invalid lines.
func (s *source) fromFile(entry value) iter.Seq[registry.Binding] {
	return func(yield func(registry.Binding) bool) {
		path, file := s.open(entry)
		if file == nil {
			s.incomplete = true
			return
		}
		defer file.Close()
		good, bad := 0, 0
		for binding, err := range readEthers(file, path, s.hosts) {
			if err == nil {
				err = s.checkInSubnet(binding)
			}
			if err != nil {
				s.problems = append(s.problems, Problem{path, binding.Origin.Line, entry.path, err.Error()})
				s.incomplete = true
				if bad++; bad == maxFileProblems {
					s.add(entry.place, "%s has %d problems up to line %d; the rest was not read",
						path, bad, binding.Origin.Line)
					return
				}
			} else if good++; !yield(binding) {
				return
			}
		}
		if good+bad == 0 && !s.mayBeEmpty() {
			s.add(entry.place, "no bindings in %s", path)
			s.incomplete = true
		}
	}
}

// path returns the path that an entry names. If there is none, it reports why and returns false.
func (c *converter) path(entry value) (string, bool) {
	if !entry.readable() {
		return "", false
	}
	if entry.text == "" || strings.ContainsFunc(entry.text, unicode.IsControl) {
		c.add(entry.place, "%s is not a valid file name", quote(entry.text))
		return "", false
	}
	path := filepath.Clean(entry.text)
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.dir, path)
	}
	return path, true
}

// open opens the file that an entry names, and returns its path. If it cannot, it reports why and returns no file.
func (s *source) open(entry value) (string, *os.File) {
	path, ok := s.path(entry)
	if !ok {
		return "", nil
	}
	if earlier, ok := s.files[path]; ok {
		s.add(entry.place, "%s is listed twice, first in line %d", path, earlier.line)
		return "", nil
	}
	// The file is recorded before it is opened: a file that is missing now is watched for, too.
	s.files[path] = entry
	s.willRead(path)
	file, err := openRegular(path)
	if err != nil {
		s.add(entry.place, "%s: %s", path, err)
	}
	return path, file
}

// maxEthersLine is the longest line of an ethers file, in bytes, with its line end.
const maxEthersLine = 4096

var errLongLine = fmt.Errorf("the line is longer than %d bytes", maxEthersLine)

// readEthers streams the bindings of an ethers(5) file: a MAC and an IPv4 address a line, and comments from a '#' to
// the end of the line. Names in place of an address are those of h. For an invalid line it yields an error, and a binding
// that only has its Origin. It keeps one line in memory.
func readEthers(r io.Reader, file string, h hosts) iter.Seq2[registry.Binding, error] {
	return func(yield func(registry.Binding, error) bool) {
		lines := bufio.NewReaderSize(r, maxEthersLine)
		for number := 1; ; number++ {
			line, err := readLine(lines)
			if err == io.EOF {
				return
			}
			readable := err == nil || err == errLongLine // after any other error, reading cannot go on
			line, _, _ = bytes.Cut(line, []byte("#"))
			if line = bytes.TrimSpace(line); len(line) == 0 && err == nil {
				continue
			}
			var binding registry.Binding
			if err == nil {
				binding, err = parseEthers(line, h)
			}
			binding.Origin = registry.Origin{Source: file, Line: number}
			if !yield(binding, err) || !readable {
				return
			}
		}
	}
}

// readLine returns the next line without its line end. It returns errLongLine for a line that is too long, and skips it.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, more, err := r.ReadLine()
	if !more {
		return line, err
	}
	for more && err == nil {
		_, more, err = r.ReadLine()
	}
	return nil, errLongLine
}

// parseEthers parses a line of an ethers file.
func parseEthers(line []byte, h hosts) (registry.Binding, error) {
	first, rest := cutSpace(line)
	second, rest := cutSpace(rest)
	if len(second) == 0 || len(rest) > 0 {
		return registry.Binding{}, errors.New("want a MAC and an IPv4 address, as in 02:00:06:de:54:a8 10.239.0.101")
	}
	mac, ok := parseEthersMAC(first)
	if !ok {
		return registry.Binding{}, fmt.Errorf("%s is not a MAC: want a MAC and an IPv4 address, "+
			"as in 02:00:06:de:54:a8 10.239.0.101", quote(string(first)))
	}
	addr, err := parseAddress(string(second))
	name := ""
	if err != nil && looksLikeName(second) {
		name = string(second)
		addr, err = h.resolve(name)
	}
	if err != nil {
		return registry.Binding{}, err
	}
	return registry.Binding{First: addr, Last: addr, MAC: mac, Name: name}, nil
}

// cutSpace returns the text before and after the first white space of line.
func cutSpace(line []byte) (before, after []byte) {
	i := bytes.IndexAny(line, " \t")
	if i < 0 {
		return line, nil
	}
	return line[:i], bytes.TrimLeft(line[i:], " \t")
}

// parseEthersMAC parses a MAC as in ethers(5): six hexadecimal numbers from 0 to ff, separated by colons.
func parseEthersMAC(text []byte) (registry.MAC, bool) {
	var mac registry.MAC
	for i := range mac {
		number, rest, more := bytes.Cut(text, []byte(":"))
		n, err := strconv.ParseUint(string(number), 16, 8)
		if err != nil || len(number) > 2 || more != (i < len(mac)-1) {
			return registry.MAC{}, false
		}
		mac[i], text = byte(n), rest
	}
	return mac, true
}

// looksLikeName reports whether text is more likely a host's name than a mistyped address.
func looksLikeName(text []byte) bool {
	return !bytes.ContainsAny(text, ":/") && strings.ContainsFunc(string(text), isLetter)
}

func isLetter(c rune) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
