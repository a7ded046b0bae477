package importer

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/arpfabric/arpfabric/responder/registry"
	"gopkg.in/yaml.v3"
)

// WriteYAML writes a whole configuration. A comment behind each binding has its origin.
func (i *Import) WriteYAML(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "networks:\n  %s:\n    attach: {bridge: %s%s}\n", Scalar(i.Network), Scalar(i.Bridge), i.vlanKey())
	if i.Subnet.IsValid() {
		fmt.Fprintf(out, "    subnet: %s\n", i.Subnet)
	}
	if i.Gateway.IsValid() {
		fmt.Fprintf(out, "    gateway: %s\n", i.Gateway)
	}
	fmt.Fprintln(out, "    registry:")
	for _, b := range i.Bindings {
		fmt.Fprintf(out, "      %s: %s # %s\n", b.First, OwnerYAML(b), b.Origin)
	}
	return out.Flush()
}

func (i *Import) vlanKey() string {
	if i.VLAN == 0 {
		return ""
	}
	return fmt.Sprintf(", vlan: %d", i.VLAN)
}

// OwnerYAML returns the value of an address in a configuration: a MAC, or a mapping if there is more.
func OwnerYAML(b registry.Binding) string {
	mac := fmt.Sprintf("%q", b.MAC)
	if b.Name == "" && !needsYAML(b) {
		return mac
	}
	value := "mac: " + mac
	if b.Name != "" {
		value += ", name: " + Scalar(b.Name)
	}
	if b.Port != "" {
		value += ", port: " + Scalar(b.Port)
	}
	if routes := slices.Collect(b.Routes.All()); len(routes) > 0 {
		value += ", routes: " + strings.ReplaceAll(fmt.Sprint(routes), " ", ", ")
	}
	return "{" + value + "}"
}

// needsYAML reports whether a binding has more than a line of ethers(5) can hold.
func needsYAML(b registry.Binding) bool { return b.Port != "" || b.Routes != registry.Prefixes{} }

// NeedsYAML reports whether a binding has a port or routes, which [Import.WriteEthers] leaves out.
func (i *Import) NeedsYAML() bool { return slices.ContainsFunc(i.Bindings, needsYAML) }

// Scalar returns a plain name, quoted if YAML would otherwise read it as another type, such as null.
func Scalar(name string) string {
	text, err := yaml.Marshal(name)
	if err != nil {
		panic(err) // a string can always be written
	}
	return strings.TrimSpace(string(text))
}

// WriteEthers writes the bindings as lines of a file for registry_files, with the names in comments. It leaves their
// origins out, so that the file changes only if the bindings do.
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
