package importer

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

	"github.com/arpfabric/arpfabric/responder/registry"
)

// Options are options for [Read].
type Options struct {
	Format  Format // of all files; empty: detect that of each file
	Network string // selects the network of this name, or names the only one; empty: the name in the files, or "lab"
	Bridge  string // the same with the network's bridge; empty: the bridge in the files, or "br0"
	VLAN    string // selects the networks in this VLAN of their bridges; "0": outside VLANs; empty: all
	Stdin   io.Reader
	Now     time.Time // to tell whether a lease has expired
}

// Check returns what is wrong with options, or nil.
func (o Options) Check() error {
	switch {
	case o.Format != "" && !slices.Contains(Formats(), o.Format):
		return fmt.Errorf("unknown format %q; want one of %s", o.Format, formatList())
	case o.Network != "" && !isPlain(o.Network, longestNetwork):
		return fmt.Errorf("%q can't be a network's name: want 1 to %d letters, digits, '-', '_' and '.', "+
			"a letter or digit first", o.Network, longestNetwork)
	case o.Bridge != "" && !isPlain(o.Bridge, longestInterface):
		return fmt.Errorf("%q can't be a bridge's name: want 1 to %d letters, digits, '-', '_' and '.', "+
			"a letter or digit first", o.Bridge, longestInterface)
	}
	_, err := o.vlan()
	return err
}

// vlan returns the VLAN that is selected, or -1 for all.
func (o Options) vlan() (int, error) {
	switch o.VLAN {
	case "":
		return -1, nil
	case "0":
		return 0, nil
	}
	vlan, err := parseVLAN(o.VLAN)
	if err != nil {
		return 0, fmt.Errorf("%w, or 0 for no VLAN", err)
	}
	return vlan, nil
}

func formatList() string { return strings.Join(FormatNames(), ", ") }

// Import is one network that was read from files.
type Import struct {
	Network  string
	Bridge   string
	VLAN     int                // of the bridge; 0 for untagged frames
	Subnet   netip.Prefix       // the zero Prefix if the files have none or several
	Gateway  netip.Addr         // the zero Addr if there is none with a binding
	Bindings []registry.Binding // each for one address, sorted by address
	LeftOut  []LeftOut          // what is not in Bindings: by file, in the order given, then conflicts

	gatewayOrigin registry.Origin
	guests        []guestPort
	routes        []route
}

// Read reads files; "-" is o.Stdin. It returns an error if the result can't be used. LeftOut is set in both cases.
func Read(paths []string, o Options) (*Import, error) {
	var files []*source
	for _, path := range paths {
		files = append(files, readPath(path, o)...)
	}
	for i, s := range files {
		s.reportOlderKeaLeases(files[:i])
	}
	addKeaLeases(files)
	i := &Import{}
	var networks []*network
	for _, s := range files {
		s.sortLeftOut()
		i.LeftOut = append(i.LeftOut, s.leftOut...)
		networks = append(networks, s.statedNetworks()...)
	}
	if err := i.setNetwork(networks, o); err != nil {
		return i, err
	}
	i.mergeBindings()
	i.addPorts(i.guests)
	i.addRoutes()
	if len(i.Bindings) == 0 {
		return i, errors.New("no bindings found")
	}
	return i, nil
}

// IsComplete reports whether everything that was left out was expected to be.
func (i *Import) IsComplete() bool {
	return !slices.ContainsFunc(i.LeftOut, func(l LeftOut) bool { return !l.Expected })
}

// displayName returns a file's name for messages.
func displayName(path string) string {
	if path == "-" {
		return "stdin"
	}
	return oneLine(path)
}

// maxFileSize is the size limit of a file, in bytes. It is enough for about 500,000 leases.
const maxFileSize = 64 << 20

// readFile reads the file of a source.
func readFile(s *source, o Options) *source {
	data, err := readAll(s.path, o.Stdin)
	if err != nil {
		s.leaveOut(0, "", "the file can't be read: %s", err)
		return s
	}
	if s.data, err = decodeText(data); err != nil {
		s.leaveOut(0, "", "%s", err)
		s.forgive()
		return s
	}
	format := o.Format
	if format == "" {
		format = detectFormat(s)
	}
	switch {
	case format != "":
		format.read(s)
		s.doubtFormat(o.Format)
	case len(s.leftOut) == 0:
		s.leaveOut(0, "", "%s", unknownFormat(s))
		s.forgive()
	}
	return s
}

// forgive makes it no error that a file in a folder is of no known format.
func (s *source) forgive() {
	for i := range s.leftOut {
		s.leftOut[i].Expected = s.inFolder
	}
}

// doubtFormat reports that a file in which nothing was found looks like one of another format than the given one.
func (s *source) doubtFormat(given Format) {
	if given == "" || len(s.statedNetworks()) > 0 || len(s.keaLeases) > 0 {
		return
	}
	again := source{name: s.name, data: s.data}
	again.current = &again.rest
	if found := detectFormat(&again); found != "" && found != given {
		s.leaveOut(0, "", "the format given is %s, but it looks like %s; without --format it is detected", given, found)
	}
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
	data, err := io.ReadAll(io.LimitReader(stdin, maxFileSize+1))
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("it is larger than %d MiB", maxFileSize>>20)
	}
	return data, withoutPath(err)
}

// withoutPath removes the path from an error, because a LeftOut has it already.
func withoutPath(err error) error {
	if wrong, ok := errors.AsType[*fs.PathError](err); ok {
		return wrong.Err
	}
	return err
}
