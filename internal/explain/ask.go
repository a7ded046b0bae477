package explain

import (
	"encoding/binary"
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
	"github.com/mdlayher/ethernet"
)

// Question is a frame that a user asks about, in his own words.
type Question struct {
	Network string `json:"network,omitempty"` // by name; may be empty where there is only one, or port and frame tell
	Port    string `json:"port,omitempty"`    // by which the frame comes in; may be empty where there is only one
	Line    string `json:"words,omitempty"`   // the frame as tcpdump prints it, or nothing
	Hex     string `json:"frame,omitempty"`   // the frame in hexadecimal, or nothing: there is one of the two
}

// Answer explains what some networks make of the frame, as far as their configurations say where it comes in. Its error
// is a mistake in the question.
func (q Question) Answer(networks []config.Network) (Explanation, error) {
	places, err := Places(networks, q.Network, q.Port)
	if err != nil {
		return Explanation{}, err
	}
	return q.AnswerAt(places)
}

// AnswerAt explains what becomes of the frame. Of several places, by one port, it comes in at the only one that its VLAN
// tag is as it should be on.
func (q Question) AnswerAt(places []Place) (Explanation, error) {
	place, err := q.choose(places)
	if err != nil {
		return Explanation{}, err
	}
	frame, notes, err := q.frame(place.Network)
	if err != nil {
		return Explanation{}, err
	}
	e, err := Explain(place, frame)
	e.Notes = append(e.Notes, notes...)
	return e, err
}

func (q Question) choose(places []Place) (Place, error) {
	if len(places) == 1 {
		return places[0], nil
	}
	vlan, err := q.vlan()
	if err != nil {
		return Place{}, err
	}
	var fitting []Place
	var names []string
	for _, p := range places {
		names = append(names, p.Network.Name)
		if p.tag() == vlan {
			fitting = append(fitting, p)
		}
	}
	if len(fitting) == 1 {
		return fitting[0], nil
	}
	return Place{}, fmt.Errorf("%s may belong to %s; say which with --network", q.Port, strings.Join(names, ", "))
}

// tag is the VLAN of the tag that frames have where they come in; 0 for none.
func (p Place) tag() uint16 {
	if !p.In.Trunk {
		return 0
	}
	return p.Network.Attach.VLAN
}

// vlan is the VLAN of the frame's outermost tag; 0 for none.
func (q Question) vlan() (uint16, error) {
	if q.Hex == "" {
		p, err := tcpdump.Parse(q.Line)
		if err != nil {
			return 0, err
		}
		return vlanOf(p.Frame()), nil
	}
	frame, err := FrameOfHex(q.Hex)
	return vlanOf(frame), err
}

// vlanOf returns the VLAN ID in the outermost tag of a frame; 0 where it has none.
func vlanOf(frame []byte) uint16 {
	const etherTypeAt, tagAt, mask = 12, 14, 0x0fff // IEEE 802.1Q, 9.6
	if len(frame) < tagAt+2 || binary.BigEndian.Uint16(frame[etherTypeAt:]) != uint16(ethernet.EtherTypeVLAN) {
		return 0
	}
	return binary.BigEndian.Uint16(frame[tagAt:]) & mask
}

func (q Question) frame(n config.Network) (frame []byte, notes []string, err error) {
	if q.Hex != "" {
		frame, err = FrameOfHex(q.Hex)
		return frame, nil, err
	}
	return FrameOf(n, q.Line)
}

// Places returns where frames may come in by a port, which may be empty where only a bridge has more ports than one: in
// the network with that name, else in the only one there is, else in each that has the port by what its configuration
// says.
func Places(networks []config.Network, name, port string) ([]Place, error) {
	fitting, err := choose(networks, name, port)
	if err != nil {
		return nil, err
	}
	var places []Place
	for _, n := range fitting {
		place, err := placeIn(n, port)
		if err != nil {
			return nil, err
		}
		places = append(places, place)
	}
	return places, nil
}

// choose returns the networks that may be meant: at least one.
func choose(networks []config.Network, name, port string) ([]config.Network, error) {
	fitting := networks
	switch {
	case name != "":
		fitting = filter(networks, func(n config.Network) bool { return n.Name == name })
	case len(networks) > 1:
		fitting = filter(networks, func(n config.Network) bool { return names(n, port) })
	}
	switch {
	case len(fitting) > 0:
		return fitting, nil
	case name != "":
		return nil, fmt.Errorf("there is no network %s; the configuration has %s", name, list(networks))
	case port == "":
		return nil, fmt.Errorf("the configuration has %s; say which with --network", list(networks))
	}
	return nil, fmt.Errorf("the configuration does not say to which network %s belongs; "+
		"say which of %s with --network", port, list(networks))
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

// names reports whether a network's configuration has port in it.
func names(n config.Network, port string) bool {
	a := n.Attach
	if port == "" {
		return false
	}
	if isHosts(a, port) || slices.Contains(append([]string{a.TAP, a.Interface, a.Sidecar}, a.Uplinks...), port) {
		return true
	}
	for b := range n.Registry.All() {
		if b.Port == port && a.Bridge != "" { // elsewhere frames come in by nothing else than what they are attached to
			return true
		}
	}
	return false
}

// isHosts reports whether port is the interface that the host's own stack has on a bridge: the bridge, or, in a VLAN,
// a device on top of it, which has this name as a rule.
func isHosts(a config.Attachment, port string) bool {
	return a.Bridge != "" && (port == a.Bridge || a.VLAN != 0 && port == fmt.Sprintf("%s.%d", a.Bridge, a.VLAN))
}

// placeIn says how frames come in by a port of a network.
func placeIn(n config.Network, port string) (Place, error) {
	a := n.Attach
	only := a.TAP + a.Interface + a.Sidecar // of which there is one, or none
	switch {
	case port == "" && only == "":
		return Place{}, fmt.Errorf("%s has many ports; say with --port by which the frame comes in", a.Bridge)
	case port == "":
		port = only
	case a.Bridge == "" && port != only:
		return Place{}, fmt.Errorf("network %s is on %s: frames come in by that, not by %s", n.Name, only, port)
	}
	host := isHosts(a, port)
	in := responder.In{Port: port, Uplink: slices.Contains(a.Uplinks, port)}
	in.Trunk = a.VLAN != 0 && (in.Uplink || host)
	if a.TAP != "" && a.Bridge == "" {
		in.Source = config.DenyMAC
	}
	return Place{Network: n, In: in, Host: host || a.Sidecar != ""}, nil
}

// FrameOf makes a frame of a line of tcpdump's. MACs that the line doesn't say are those that the network's registry
// has for the addresses; notes say which.
func FrameOf(n config.Network, line string) (frame []byte, notes []string, err error) {
	p, err := tcpdump.Parse(line)
	if err != nil {
		return nil, nil, err
	}
	if p.From == nil {
		mac, err := source(n, p)
		if err != nil {
			return nil, nil, err
		}
		p.From = &mac
		notes = append(notes, taken("from", mac, p.Sender))
	}
	if p.To == nil {
		mac, owner, err := destination(n, p)
		if err != nil {
			return nil, nil, err
		}
		p.To = &mac
		if owner.IsValid() {
			notes = append(notes, taken("to", mac, owner))
		}
	}
	return p.Frame(), notes, nil
}

// taken says which MAC was taken for one that the line does not say: it may not be the one that was meant.
func taken(which string, mac responder.MAC, owner netip.Addr) string {
	return fmt.Sprintf("the words have no '%s MAC': it is taken to be %s, which the registry has for %s", which, mac, owner)
}

// source returns the MAC of a packet's sender.
func source(n config.Network, p *tcpdump.Packet) (responder.MAC, error) {
	const add = "add the MAC behind it: from 02:00:06:de:54:a8"
	switch b, ok := n.Registry.Lookup(p.Sender); {
	case ok:
		return b.MAC, nil
	case !p.Sender.IsValid():
		return responder.MAC{}, errors.New("the line does not say who sends the frame; " + add)
	case p.Sender.IsUnspecified():
		return responder.MAC{}, errors.New("0.0.0.0 is nobody's address, so the line does not say who asks; " + add)
	}
	return responder.MAC{}, fmt.Errorf("%s has no binding in network %s, so the line does not say who sends the frame; %s",
		p.Sender, n.Name, add)
}

// destination returns the MAC that a host sends a packet to, and the address that has it. ARP, and what is no IP, is sent
// to everybody, which is nobody's address.
func destination(n config.Network, p *tcpdump.Packet) (mac responder.MAC, owner netip.Addr, err error) {
	everybody := responder.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	switch {
	case p.IsARP() || !p.Target.IsValid() || p.Target == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return everybody, owner, nil
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
		"to see what would become of the frame add one: to 02:00:00:de:54:a8", hop, n.Name)
}

// groupMAC returns the MAC of an IPv4 multicast group (RFC 1112, 6.4): 01:00:5e and the group's lower 23 bits.
func groupMAC(group netip.Addr) responder.MAC {
	b := group.As4()
	return responder.MAC{0x01, 0x00, 0x5e, b[1] & 0x7f, b[2], b[3]}
}

// longest is the length of the longest frame that is read, in bytes: what an interface may carry at most.
const longest = 1 << 16

// offset is what tcpdump -xx writes before each line of a frame.
var offset = regexp.MustCompile(`0x[0-9a-f]{4,}:`)

// FrameOfHex reads a frame in hexadecimal, with white space and colons anywhere, and as tcpdump -xx prints it.
func FrameOfHex(text string) ([]byte, error) {
	separator := func(c rune) bool { return c == ':' || unicode.IsSpace(c) }
	digits := strings.Join(strings.FieldsFunc(offset.ReplaceAllLiteralString(text, ""), separator), "")
	frame, err := hex.DecodeString(digits)
	wrong, isWrong := errors.AsType[hex.InvalidByteError](err)
	switch {
	case isWrong:
		return nil, fmt.Errorf("the frame is not hexadecimal: there is a %q in it", byte(wrong))
	case err != nil:
		return nil, fmt.Errorf("the frame ends in half a byte: it has %d hexadecimal digits", len(digits))
	case len(frame) > longest:
		return nil, fmt.Errorf("the frame has %d bytes; none has more than %d", len(frame), longest)
	}
	return frame, nil
}
