package survey

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/arpfabric/arpfabric/internal/importer"
	"github.com/arpfabric/arpfabric/internal/link"
)

// Write writes the configuration. A comment at each line says where it is from.
func (s *Survey) Write(w io.Writer) error {
	var out bytes.Buffer
	s.writeIntroduction(&out)
	fmt.Fprintf(&out, "networks:\n  %s: # the bridge's name; choose another if you like\n", s.networkName())
	if s.Classic {
		out.WriteString("    mode: classic # a dry run: nothing is answered or dropped; remove this line to begin\n")
	}
	s.writeAttachment(&out)
	if s.subnet.IsValid() {
		fmt.Fprintf(&out, "    subnet: %s # of the host's own address on the bridge\n", s.subnet)
	}
	if s.gateway.IsValid() {
		fmt.Fprintf(&out, "    gateway: %s # %s\n", s.gateway, s.router)
	}
	if len(s.uplinks) > 0 {
		out.WriteString("    # policy: {unknown_target: uplink} # for a LAN whose hosts are not all listed below\n")
	}
	s.writeSources(&out)
	s.writeRegistry(&out)
	_, err := w.Write(out.Bytes())
	return err
}

func (s *Survey) writeIntroduction(out *bytes.Buffer) {
	fmt.Fprintf(out, "# What 'arpfabric init' found at %s on %s.\n", s.Bridge, s.Now.Format("2006-01-02"))
	out.WriteString("# Read each line before you use it: a guest that has not spoken is missing, and a guest that used another's\n" +
		"# address is here with it.\n")
	for _, warning := range s.warnings {
		fmt.Fprintf(out, "# %s\n", warning)
	}
}

func (s *Survey) writeAttachment(out *bytes.Buffer) {
	fmt.Fprintf(out, "    attach:\n      bridge: %s\n", importer.Scalar(s.Bridge))
	if s.VLAN != 0 {
		fmt.Fprintf(out, "      vlan: %d # the PVID of its guests' ports\n", s.VLAN)
	}
	if len(s.uplinks) == 0 {
		return
	}
	out.WriteString("      uplinks: # the members that are neither a TAP nor a veth\n")
	for _, l := range s.uplinks {
		fmt.Fprintf(out, "        - %s # %s\n", importer.Scalar(l.Name), kindOf(l))
	}
}

// kindOf returns the kind of an interface in words.
func kindOf(l link.Link) string {
	if l.Kind() == "device" {
		return "a network card"
	}
	return l.Kind()
}

// writeSources suggests to follow the leases.
func (s *Survey) writeSources(out *bytes.Buffer) {
	for i, file := range s.leases {
		if i == 0 {
			out.WriteString("    # sources: # follow the leases as they change; then remove their lines below\n")
		}
		fmt.Fprintf(out, "    #   - %s: %s\n", file.kind, importer.Scalar(file.path))
	}
}

func (s *Survey) writeRegistry(out *bytes.Buffer) {
	out.WriteString("    registry:\n")
	for _, h := range s.hosts {
		fmt.Fprintf(out, "      %s: %s # %s\n", h.First, importer.OwnerYAML(h.Binding), strings.Join(h.from, ", "))
	}
	for _, d := range s.doubts {
		fmt.Fprintf(out, "      # %s: several MACs use this address; write the right one: %s\n", d.addr, strings.Join(d.from, ", "))
	}
	for _, g := range s.silent {
		fmt.Fprintf(out, "      # %s behind %s: its address is not known; write ADDRESS: %q\n", g.mac, g.port, g.mac)
	}
}

// networkName returns the bridge's name if a network can have it.
func (s *Survey) networkName() string {
	if !plain.MatchString(s.Bridge) {
		return "lab"
	}
	return importer.Scalar(s.Bridge)
}

// plain matches names of networks and ports that need no quotes inside a mapping.
var plain = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)
