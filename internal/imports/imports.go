package imports

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/responder"
)

// Options say how files are to be read.
type Options struct {
	Format  Format // of all files; empty: each is recognised by what is in it
	Network string // the network's name; empty: what the files say, or "lab"
	Bridge  string // that the network is on; empty: what the files say, or "br0". Neighbours elsewhere are passed over
	Stdin   io.Reader
	Now     time.Time // for leases that have ended
}

// Check returns what is wrong with options, or nil.
func (o Options) Check() error {
	switch {
	case o.Format != "" && !slices.Contains(Formats(), o.Format):
		return fmt.Errorf("there is no format %q; the formats are %s", o.Format, formatList())
	case o.Network != "" && !isPlain(o.Network, longestNetwork):
		return fmt.Errorf("%q can't be a network's name: want 1 to %d letters, digits, '-', '_' and '.', "+
			"a letter or digit first", o.Network, longestNetwork)
	case o.Bridge != "" && !isPlain(o.Bridge, longestInterface):
		return fmt.Errorf("%q can't be a bridge's name: want 1 to %d letters, digits, '-', '_' and '.', "+
			"a letter or digit first", o.Bridge, longestInterface)
	}
	return nil
}

func formatList() string { return strings.Join(FormatNames(), ", ") }

// Import is what was read: one network, and what of it is not in its registry.
type Import struct {
	Network  string
	Bridge   string
	Subnet   netip.Prefix        // the zero Prefix where there is none, or more than one
	Gateway  netip.Addr          // the zero Addr where there is none that has a binding
	Bindings []responder.Binding // of one address each, sorted by it
	LeftOut  []LeftOut           // by file, as they were given; then what does not go together
}

// Read reads files; "-" is o.Stdin. Its error says that nothing of use came of it. What can't be taken is in
// the Import either way.
func Read(paths []string, o Options) (*Import, error) {
	var files []*source
	for _, path := range paths {
		files = append(files, readFile(path, o))
	}
	takeKeaLeases(files)
	i := &Import{}
	var networks []network
	for _, s := range files {
		s.sortLeftOut()
		i.Bindings = append(i.Bindings, s.hosts...)
		i.LeftOut = append(i.LeftOut, s.leftOut...)
		networks = append(networks, s.networks...)
	}
	if err := i.setNetwork(networks, o); err != nil {
		return i, err
	}
	i.settle()
	if len(i.Bindings) == 0 {
		return i, errors.New("there is no binding in what was read")
	}
	return i, nil
}

// IsWhole reports whether nothing is left out that somebody will miss.
func (i *Import) IsWhole() bool {
	return !slices.ContainsFunc(i.LeftOut, func(l LeftOut) bool { return !l.Expected })
}

// shown returns the name that messages have for a file.
func shown(path string) string {
	if path == "-" {
		return "stdin"
	}
	return oneLine(path)
}

// largest is how large a file may be, in bytes: some five hundred thousand leases.
const largest = 64 << 20

func readFile(path string, o Options) *source {
	s := &source{path: path, name: shown(path), now: o.Now, bridge: o.Bridge}
	data, err := readAll(path, o.Stdin)
	if err != nil {
		s.leave(0, "", "the file can't be read: %s", err)
		return s
	}
	s.data = string(data)
	format := o.Format
	if format == "" {
		format = recognise(s)
	}
	switch {
	case format != "":
		format.read(s)
	case len(s.leftOut) == 0:
		s.leave(0, "", "it can't be told what this is: say so with --format, which takes %s", formatList())
	}
	return s
}

func readAll(path string, stdin io.Reader) ([]byte, error) {
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, withoutPath(err)
		}
		defer file.Close()
		stdin = file
	}
	data, err := io.ReadAll(io.LimitReader(stdin, largest+1))
	if len(data) > largest {
		return nil, fmt.Errorf("it is larger than %d MiB", largest>>20)
	}
	return data, withoutPath(err)
}

// withoutPath returns what is wrong with a file without its path, which a LeftOut names already.
func withoutPath(err error) error {
	if wrong, ok := errors.AsType[*fs.PathError](err); ok {
		return wrong.Err
	}
	return err
}
