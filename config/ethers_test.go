package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/google/go-cmp/cmp"
)

func TestReadEthers(t *testing.T) {
	long := strings.Repeat("x", maxEthersLine)
	tests := []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"comments and blank lines", "# a\n\n  \t\n   # b\n#\n", nil},
		{"a line", "02:00:06:de:54:a8 10.239.0.101\n", []string{"f:1 10.239.0.101 is-at 02:00:06:de:54:a8"}},
		{"no end of line", "02:00:06:de:54:a8 10.239.0.101", []string{"f:1 10.239.0.101 is-at 02:00:06:de:54:a8"}},
		{"CR LF", "\r\n02:00:06:de:54:a8 10.239.0.101\r\n\r\n", []string{"f:2 10.239.0.101 is-at 02:00:06:de:54:a8"}},
		{"white space", "\t2:0:6:de:54:a8 \t  10.239.0.101\t \n", []string{"f:1 10.239.0.101 is-at 02:00:06:de:54:a8"}},
		{"single digits", "2:0:6:de:54:a8 10.239.0.101\n", []string{"f:1 10.239.0.101 is-at 02:00:06:de:54:a8"}},
		{"capitals", "02:00:06:DE:54:A8 10.239.0.101\n", []string{"f:1 10.239.0.101 is-at 02:00:06:de:54:a8"}},
		{"a comment after the address", "2:0:6:de:54:a8 10.239.0.101# db\n", []string{"f:1 10.239.0.101 is-at 02:00:06:de:54:a8"}},
		{"a long line, and what follows", long + "x\n2:0:6:de:54:a8 10.239.0.101\n", []string{
			"f:1 the line is longer than 4096 bytes",
			"f:2 10.239.0.101 is-at 02:00:06:de:54:a8",
		}},
		{"a very long line at the end", strings.Repeat(long, 3), []string{"f:1 the line is longer than 4096 bytes"}},
		{"a long comment", "#" + long, []string{"f:1 the line is longer than 4096 bytes"}},
		{"bytes", "\xff\x00\xfe\n", []string{
			"f:1 want a MAC and an IPv4 address, as in 02:00:06:de:54:a8 10.239.0.101",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, ethersLines(strings.NewReader(test.text))); diff != "" {
				t.Errorf("lines (-want +got)\n%s", diff)
			}
		})
	}
}

func TestReadEthersStopsWhereReadingFails(t *testing.T) {
	failing := iotest.ErrReader(errors.New("input/output error"))
	got := ethersLines(io.MultiReader(strings.NewReader("2:0:6:de:54:a8 10.239.0.101\n"), failing))
	want := []string{"f:1 10.239.0.101 is-at 02:00:06:de:54:a8", "f:2 input/output error"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got)\n%s", diff)
	}
}

// ethersLines describes the bindings and errors of an ethers file named f.
func ethersLines(r io.Reader) []string {
	var lines []string
	for binding, err := range readEthers(r, "f", nil) {
		if err != nil {
			lines = append(lines, binding.Origin.String()+" "+err.Error())
		} else {
			lines = append(lines, describe(binding))
		}
	}
	return lines
}

// TestNotAnEthersFile expects a limit on the problems of a large file that is not an ethers file.
func TestNotAnEthersFile(t *testing.T) {
	t.Chdir(t.TempDir())
	labtest.Write(t, "lab.yaml", "networks:\n  lab:\n    attach: {bridge: br0}\n    registry_files: [binary]\n")
	labtest.Write(t, "binary", strings.Repeat("x\n", 100_000))
	got := problemsOf("lab.yaml")
	if len(got) != maxFileProblems+1 {
		t.Errorf("%d problems, want %d", len(got), maxFileProblems+1)
	}
	want := "lab.yaml:4: networks.lab.registry_files[0]: " +
		"binary has 1000 problems up to line 1000; the rest was not read"
	if last := got[len(got)-1]; last != want {
		t.Errorf("got  %s\nwant %s", last, want)
	}
}

// FuzzEthers compares the reader with the parsers of the standard library. These require two digits in each number of a
// MAC, so oracle adds the zeros.
func FuzzEthers(f *testing.F) {
	f.Add([]byte("# hosts\n02:00:06:de:54:a8 10.239.0.101 # db\r\n2:0:6:de:54:a8\t10.239.0.102"))
	f.Add([]byte("02:00:06:de:54:a8 db\n10.239.0.1 02:00:06:de:54:a8\n\xff\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got := map[int]string{}
		for binding, err := range readEthers(bytes.NewReader(data), "f", nil) {
			if _, again := got[binding.Origin.Line]; again {
				t.Fatalf("line %d twice", binding.Origin.Line)
			}
			got[binding.Origin.Line] = binding.String()
			if err != nil {
				got[binding.Origin.Line] = "wrong"
			}
		}
		for i, line := range bytes.Split(data, []byte("\n")) {
			if want := oracle(line); got[i+1] != want {
				t.Fatalf("line %d, %q: got %q, want %q", i+1, line, got[i+1], want)
			}
		}
	})
}

// oracle parses a line of an ethers file. It returns a binding, "wrong", or "" for an empty line.
func oracle(line []byte) string {
	text, _, _ := strings.Cut(strings.TrimSuffix(string(line), "\r"), "#")
	fields := strings.FieldsFunc(strings.TrimSpace(text), func(c rune) bool { return c == ' ' || c == '\t' })
	switch {
	case len(line) >= maxEthersLine:
		return "wrong"
	case len(fields) == 0:
		return ""
	case len(fields) != 2:
		return "wrong"
	}
	numbers := strings.Split(fields[0], ":")
	for i, number := range numbers {
		numbers[i] = fmt.Sprintf("%02s", number)
		if number == "" {
			return "wrong"
		}
	}
	mac, err := net.ParseMAC(strings.Join(numbers, ":"))
	addr, addrErr := netip.ParseAddr(fields[1])
	if err != nil || len(mac) != 6 || len(numbers) != 6 || addrErr != nil || !addr.Is4() {
		return "wrong"
	}
	return registry.Binding{First: addr, Last: addr, MAC: registry.MAC(mac)}.String()
}
