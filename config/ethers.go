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

	"github.com/arpfabric/arpfabric/responder"
)

// maxFileProblems is how many problems of one ethers file are reported: where there are more, it is
// something other than an ethers file.
const maxFileProblems = 1000

// fromFile streams the bindings of an ethers file, and reports the lines that are wrong.
func (s *source) fromFile(entry value) iter.Seq[responder.Binding] {
	return func(yield func(responder.Binding) bool) {
		path, file := s.openEthers(entry)
		if file == nil {
			s.incomplete = true
			return
		}
		defer file.Close()
		good, bad := 0, 0
		for binding, err := range readEthers(file, path) {
			if err == nil {
				err = s.checkInSubnet(binding)
			}
			if err != nil {
				s.problems = append(s.problems, Problem{path, binding.Origin.Line, entry.path, err.Error()})
				s.incomplete = true
				if bad++; bad == maxFileProblems {
					s.add(entry.place, "%s has %d problems up to line %d, and was read no further",
						path, bad, binding.Origin.Line)
					return
				}
			} else if good++; !yield(binding) {
				return
			}
		}
		if good+bad == 0 && !s.mayBeEmpty() {
			s.add(entry.place, "there is no binding in %s", path)
			s.incomplete = true
		}
	}
}

// openEthers opens the file that an entry of registry_files names. Where it can't, it reports why and
// returns none.
func (s *source) openEthers(entry value) (string, *os.File) {
	if !entry.readable() {
		return "", nil
	}
	if entry.text == "" || strings.ContainsFunc(entry.text, unicode.IsControl) {
		s.add(entry.place, "%s can't be a file's name", quote(entry.text))
		return "", nil
	}
	path := filepath.Clean(entry.text)
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.dir, path)
	}
	if earlier, ok := s.files[path]; ok {
		s.add(entry.place, "%s is listed twice, first in line %d", path, earlier.line)
		return "", nil
	}
	s.files[path] = entry
	s.converter.files = append(s.converter.files, path)
	file, err := openRegular(path)
	if err != nil {
		s.add(entry.place, "%s: %s", path, err)
	}
	return path, file
}

// maxEthersLine is how long a line of an ethers file may be, in bytes, its end included.
const maxEthersLine = 4096

var errLongLine = fmt.Errorf("the line is longer than %d bytes", maxEthersLine)

// readEthers streams the bindings of an ethers(5) file: a MAC and an IPv4 address a line, comments from a
// '#' to the end of the line. For a line that is something else it yields an error, and a binding with
// nothing but its Origin. It keeps one line in memory.
func readEthers(r io.Reader, file string) iter.Seq2[responder.Binding, error] {
	return func(yield func(responder.Binding, error) bool) {
		lines := bufio.NewReaderSize(r, maxEthersLine)
		for number := 1; ; number++ {
			line, err := readLine(lines)
			if err == io.EOF {
				return
			}
			readable := err == nil || err == errLongLine
			line, _, _ = bytes.Cut(line, []byte("#"))
			if line = bytes.TrimSpace(line); len(line) == 0 && err == nil {
				continue
			}
			var binding responder.Binding
			if err == nil {
				binding, err = parseEthers(line)
			}
			binding.Origin = responder.Origin{File: file, Line: number}
			if !yield(binding, err) || !readable {
				return
			}
		}
	}
}

// readLine returns the next line without its end. After errLongLine, which stands for a line, it goes on
// with the next.
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

// parseEthers reads what stands in a line of an ethers file.
func parseEthers(line []byte) (responder.Binding, error) {
	first, rest := cutSpace(line)
	second, rest := cutSpace(rest)
	if len(second) == 0 || len(rest) > 0 {
		return responder.Binding{}, errors.New("want a MAC and an IPv4 address, as in 02:00:06:de:54:a8 10.239.0.101")
	}
	mac, ok := parseEthersMAC(first)
	if !ok {
		return responder.Binding{}, fmt.Errorf("%s is not a MAC: want a MAC and an IPv4 address, "+
			"as in 02:00:06:de:54:a8 10.239.0.101", quote(string(first)))
	}
	addr, err := parseAddress(string(second))
	if err != nil && looksLikeName(second) {
		err = fmt.Errorf("%s is a name, and names are not resolved: write the host's IPv4 address", quote(string(second)))
	}
	if err != nil {
		return responder.Binding{}, err
	}
	return responder.Binding{First: addr, Last: addr, MAC: mac}, nil
}

// cutSpace returns the text before the first white space of line, and after it.
func cutSpace(line []byte) (before, after []byte) {
	i := bytes.IndexAny(line, " \t")
	if i < 0 {
		return line, nil
	}
	return line[:i], bytes.TrimLeft(line[i:], " \t")
}

// parseEthersMAC reads a MAC as ethers(5) spells it: six hexadecimal numbers from 0 to ff, with colons
// between them.
func parseEthersMAC(text []byte) (responder.MAC, bool) {
	var mac responder.MAC
	for i := range mac {
		number, rest, more := bytes.Cut(text, []byte(":"))
		n, err := strconv.ParseUint(string(number), 16, 8)
		if err != nil || len(number) > 2 || more != (i < len(mac)-1) {
			return responder.MAC{}, false
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
