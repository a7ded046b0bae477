package explain

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/tcpdump"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// Question is a user's question about a frame, which it gives either as a line or in hexadecimal.
type Question struct {
	Network string `json:"network,omitempty"` // by name; may be empty if there is one, or port and frame identify it
	Port    string `json:"port,omitempty"`    // the ingress port; may be empty if there is only one
	Line    string `json:"words,omitempty"`   // the frame as tcpdump prints it
	Hex     string `json:"frame,omitempty"`   // the frame in hexadecimal
}

// Answer explains the verdict about the frame, by the configurations of networks alone. Its errors are mistakes in the
// question.
func (q Question) Answer(networks []config.Network) (Explanation, error) {
	ingresses, err := Ingresses(networks, q.Network, q.Port)
	if err != nil {
		return Explanation{}, err
	}
	return q.AnswerAt(ingresses)
}

// AnswerAt explains the verdict about the frame at one of several ingresses. If several networks have the port, the
// frame's VLAN tag must identify one of them.
func (q Question) AnswerAt(ingresses []config.Ingress) (Explanation, error) {
	in, err := q.choose(ingresses)
	if err != nil {
		return Explanation{}, err
	}
	frame, notes, err := q.frame(in)
	if err != nil {
		return Explanation{}, err
	}
	e, err := Explain(in, frame)
	e.Notes = append(e.Notes, notes...)
	return e, err
}

func (q Question) choose(ingresses []config.Ingress) (config.Ingress, error) {
	if len(ingresses) == 1 {
		return ingresses[0], nil
	}
	vlan, err := q.vlan()
	if err != nil {
		return config.Ingress{}, err
	}
	var matching []config.Ingress
	var names []string
	for _, in := range ingresses {
		names = append(names, in.Network.Name)
		if tagOf(in) == vlan {
			matching = append(matching, in)
		}
	}
	if len(matching) == 1 {
		return matching[0], nil
	}
	return config.Ingress{}, fmt.Errorf("%s may belong to %s; choose one with --network", q.Port, strings.Join(names, ", "))
}

// tagOf returns the VLAN ID in the tag of frames at an ingress; 0 if they have no tag.
func tagOf(in config.Ingress) uint16 {
	if !in.Trunk {
		return 0
	}
	return in.Network.Attach.VLAN
}

// vlan returns the VLAN ID of the frame's outermost tag; 0 without a tag.
func (q Question) vlan() (uint16, error) {
	frame, err := FrameOfHex(q.Hex)
	if q.Hex == "" {
		var p *tcpdump.Packet
		if p, err = tcpdump.Parse(q.Line); err == nil {
			frame = p.Frame()
		}
	}
	header, _ := responder.ParseHeader(frame)
	return header.VLAN(), err
}

func (q Question) frame(in config.Ingress) (frame []byte, notes []string, err error) {
	if q.Hex != "" {
		frame, err = FrameOfHex(q.Hex)
		return frame, nil, err
	}
	return FrameOf(in, q.Line)
}

// Ingresses returns the possible ingresses of a frame: in the network with the name, or else in the only network, or
// else in each network whose configuration has the port. port may be empty except on a bridge, which has several ports.
func Ingresses(networks []config.Network, name, port string) ([]config.Ingress, error) {
	candidates, err := choose(networks, name, port)
	if err != nil {
		return nil, err
	}
	var ingresses []config.Ingress
	for _, n := range candidates {
		in, err := ingressOf(n, port)
		if err != nil {
			return nil, err
		}
		ingresses = append(ingresses, in)
	}
	return ingresses, nil
}

// choose returns the networks that the frame may belong to, at least one.
func choose(networks []config.Network, name, port string) ([]config.Network, error) {
	candidates := networks
	switch {
	case name != "":
		candidates = filter(networks, func(n config.Network) bool { return n.Name == name })
	case len(networks) > 1:
		candidates = filter(networks, func(n config.Network) bool { return hasPort(n, port) })
	}
	switch {
	case len(candidates) > 0:
		return candidates, nil
	case name != "":
		return nil, fmt.Errorf("no network %s; the configuration has %s", name, list(networks))
	case port == "":
		return nil, fmt.Errorf("the configuration has %s; choose one with --network", list(networks))
	}
	return nil, fmt.Errorf("the configuration does not tell which network %s belongs to; "+
		"choose one of %s with --network", port, list(networks))
}

func filter(networks []config.Network, keep func(config.Network) bool) []config.Network {
	return slices.DeleteFunc(slices.Clone(networks), func(n config.Network) bool { return !keep(n) })
}

func list(networks []config.Network) string {
	var all []string
	for _, n := range networks {
		all = append(all, n.Name)
	}
	return strings.Join(all, ", ")
}

// hasPort reports whether a network's configuration names port.
func hasPort(n config.Network, port string) bool {
	if port == "" {
		return false
	}
	if hasInterface(n.Attach, port) {
		return true
	}
	for b := range n.Registry.All() {
		if b.Port == port && n.Attach.InBridge() { // other attachments have one port
			return true
		}
	}
	return false
}

// hasInterface reports whether an attachment names port.
func hasInterface(a config.Attachment, port string) bool {
	return isHostInterface(a, port) || port == a.Device || slices.Contains(a.Uplinks, port)
}

// isHostInterface reports whether port is the interface of the host's own stack on a bridge: the bridge itself, or in a
// VLAN a device on top of the bridge, by its usual name.
func isHostInterface(a config.Attachment, port string) bool {
	return a.InBridge() && (port == a.Bridge || a.VLAN != 0 && port == fmt.Sprintf("%s.%d", a.Bridge, a.VLAN))
}

// ingressOf returns the ingress of a port, by the network's configuration alone.
func ingressOf(n config.Network, port string) (config.Ingress, error) {
	a := n.Attach
	switch {
	case port == "" && a.Kind == config.AttachBridge:
		return config.Ingress{}, fmt.Errorf("%s has several ports; name the ingress port with --port", a.Bridge)
	case port == "":
		port = a.Device
	case !a.InBridge() && port != a.Device:
		return config.Ingress{}, fmt.Errorf("network %s is on %s: frames enter there, not at %s", n.Name, a.Device, port)
	}
	p := config.Port{Name: port}
	switch {
	case isHostInterface(a, port) || a.Kind == config.AttachSidecar:
		p.Kind = responder.Host
	case slices.Contains(a.Uplinks, port):
		p.Kind = responder.Uplink
	}
	return config.Ingress{Network: n, Ingress: n.Ingress(p)}, nil
}

// FrameOf returns the frame that a line of tcpdump's output describes, as it enters by in. It looks up MACs that are not
// in the line in the network's registry, and names them in notes.
func FrameOf(in config.Ingress, line string) (frame []byte, notes []string, err error) {
	p, err := tcpdump.Parse(line)
	if err != nil {
		return nil, nil, err
	}
	n := in.Network
	if p.Left != "" && p.Left == in.Port {
		notes = append(notes, fmt.Sprintf("the line is about a frame that left by %s, and the verdict about one that enters there; "+
			"explain it with the port that it came in by; the host's own frames come in by the bridge", p.Left))
	}
	if p.From == nil {
		mac, err := source(n, p)
		if err != nil {
			return nil, nil, err
		}
		p.From = &mac
		notes = append(notes, assumed("from", mac, p.Sender))
	}
	if p.To == nil {
		mac, owner, err := destination(n, p)
		if err != nil {
			return nil, nil, err
		}
		p.To = &mac
		if owner.IsValid() {
			notes = append(notes, assumed("to", mac, owner))
		}
	}
	return p.Frame(), notes, nil
}

// assumed returns a note about a MAC that is not in the line. The user may have meant another one.
func assumed(which string, mac registry.MAC, owner netip.Addr) string {
	return fmt.Sprintf("the line has no '%s MAC': assuming %s, which the registry has for %s", which, mac, owner)
}

// source returns the MAC of a packet's sender.
func source(n config.Network, p *tcpdump.Packet) (registry.MAC, error) {
	const add = "add its MAC at the end: from 02:00:06:de:54:a8"
	switch b, ok := n.Registry.Lookup(p.Sender); {
	case ok:
		return b.MAC, nil
	case !p.Sender.IsValid():
		return registry.MAC{}, errors.New("the line does not name the sender; " + add)
	case p.Sender.IsUnspecified():
		return registry.MAC{}, errors.New("0.0.0.0 has no MAC, so the line does not identify the sender; " + add)
	}
	return registry.MAC{}, fmt.Errorf("%s has no binding in network %s, so the line does not identify the sender; %s",
		p.Sender, n.Name, add)
}

// destination returns the MAC that a host sends a packet to, and the address that has it, if any. ARP and frames other
// than IPv4 go to the broadcast MAC.
func destination(n config.Network, p *tcpdump.Packet) (mac registry.MAC, owner netip.Addr, err error) {
	broadcast := registry.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	switch {
	case p.IsARP() || !p.Target.IsValid() || p.Target == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return broadcast, owner, nil
	case p.Target.IsMulticast():
		return groupMAC(p.Target), owner, nil
	}
	hop := p.Target
	if n.Subnet.IsValid() && n.Gateway.IsValid() && !n.Subnet.Contains(hop) {
		hop = n.Gateway
	}
	if b, ok := n.Registry.Lookup(hop); ok {
		return b.MAC, hop, nil
	}
	return mac, owner, fmt.Errorf("%s has no binding in network %s, so a guest finds no MAC to send to; "+
		"to explain the frame all the same, add one: to 02:00:00:de:54:a8", hop, n.Name)
}

// groupMAC returns the MAC of an IPv4 multicast group (RFC 1112, 6.4): 01:00:5e and the group's lower 23 bits.
func groupMAC(group netip.Addr) registry.MAC {
	b := group.As4()
	return registry.MAC{0x01, 0x00, 0x5e, b[1] & 0x7f, b[2], b[3]}
}

// longest is the length in bytes of the longest frame that is read. No interface carries longer ones.
const longest = 1 << 16

// offset matches the offset that tcpdump -xx prints before each line of a frame.
var offset = regexp.MustCompile(`0x[0-9a-f]{4,}:`)

// FrameOfHex parses a frame in hexadecimal, as tcpdump -xx prints it, or with white space and colons anywhere.
func FrameOfHex(text string) ([]byte, error) {
	separator := func(c rune) bool { return c == ':' || unicode.IsSpace(c) }
	digits := strings.Join(strings.FieldsFunc(offset.ReplaceAllLiteralString(text, ""), separator), "")
	frame, err := hex.DecodeString(digits)
	wrong, isWrong := errors.AsType[hex.InvalidByteError](err)
	switch {
	case isWrong:
		return nil, fmt.Errorf("the frame is not hexadecimal: it contains %q", byte(wrong))
	case err != nil:
		return nil, fmt.Errorf("the frame ends in half a byte: it has %d hexadecimal digits", len(digits))
	case len(frame) > longest:
		return nil, fmt.Errorf("the frame has %d bytes; want at most %d", len(frame), longest)
	}
	return frame, nil
}
