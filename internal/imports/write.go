package imports

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/arpfabric/arpfabric/responder"
)

// WriteYAML writes a whole configuration. Each binding has the place that it is from behind it.
func (i *Import) WriteYAML(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "networks:\n  %s:\n    attach: {bridge: %s}\n", scalar(i.Network), scalar(i.Bridge))
	if i.Subnet.IsValid() {
		fmt.Fprintf(out, "    subnet: %s\n", i.Subnet)
	}
	if i.Gateway.IsValid() {
		fmt.Fprintf(out, "    gateway: %s\n", i.Gateway)
	}
	fmt.Fprintln(out, "    registry:")
	for _, b := range i.Bindings {
		fmt.Fprintf(out, "      %s: %s # %s\n", b.First, ownerOf(b), b.Origin)
	}
	return out.Flush()
}

// ownerOf writes what stands under an address: a MAC, or a mapping where there is a name.
func ownerOf(b responder.Binding) string {
	if b.Name == "" {
		return fmt.Sprintf("%q", b.MAC)
	}
	return fmt.Sprintf("{mac: %q, name: %s}", b.MAC, scalar(b.Name))
}

// scalar writes a plain name, between quotes where YAML would take it for something else, such as null.
func scalar(name string) string {
	text, err := yaml.Marshal(name)
	if err != nil {
		panic(err) // a string can be written
	}
	return strings.TrimSpace(string(text))
}

// WriteEthers writes the bindings as lines of a file for registry_files, with the names in comments. What they
// are from is not in there, so that the file changes with the bindings alone.
func (i *Import) WriteEthers(w io.Writer) error {
	out := bufio.NewWriter(w)
	for _, b := range i.Bindings {
		line := fmt.Sprintf("%s %s", b.MAC, b.First)
		if b.Name != "" {
			line += " # " + b.Name
		}
		fmt.Fprintln(out, line)
	}
	return out.Flush()
}
