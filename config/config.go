package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/arpfabric/arpfabric/responder"
)

// Config is a configuration without mistakes.
type Config struct {
	Path     string    // of the YAML file
	Files    []string  // that it was read from: the YAML file, then the registry_files
	Networks []Network // at least one, sorted by name
	API      API
	Metrics  Metrics
	Log      Log
}

// Network is one virtual layer-3 network.
type Network struct {
	Name     string
	Origin   responder.Origin // of its name in the file
	Mode     Mode
	Attach   Attachment
	Subnet   netip.Prefix // the zero Prefix where the file names none
	Gateway  netip.Addr   // the zero Addr where the file names none
	Registry *responder.Registry
	Policy   responder.Policy
	// Guard is GuardNone, RateLimit 0 and OnStop Release where Attach.HasGuard is false.
	Guard     Guard
	RateLimit uint32 // ARP frames that a port may send in a second; 0 for any number
	OnStop    OnStop
	Inform    bool // guests hear of it at once when an address gets another MAC

	// PolicyOrigins says where each key of the policy that the file has is written. The others have their default.
	PolicyOrigins map[string]responder.Origin
}

// Summary describes the network in one line: "lab: vpc on bridge br0, 3 bindings, guard arp".
func (n *Network) Summary() string {
	bindings := "1 binding"
	if n.Registry.Len() != 1 {
		bindings = fmt.Sprintf("%d bindings", n.Registry.Len())
	}
	summary := fmt.Sprintf("%s: %s on %s, %s", n.Name, n.Mode, n.Attach, bindings)
	if n.Mode == VPC && n.Attach.HasGuard() {
		summary += ", guard " + string(n.Guard)
	}
	return summary
}

// GuardInForce is what the kernel keeps from the network's guests now: nothing while its mode is classic.
func (n *Network) GuardInForce() Guard {
	if n.Mode == Classic {
		return GuardNone
	}
	return n.Guard
}

// Mode is what the fabric does with the frames it sees.
type Mode string

// The modes of a network.
const (
	VPC     Mode = "vpc"     // intercept, answer, drop
	Classic Mode = "classic" // change nothing, report what VPC would have done
)

// Attachment says where a network's guests are. Exactly one of Bridge, TAP, Interface and Sidecar is set,
// but for a TAP that is put into a bridge, which has both.
type Attachment struct {
	Bridge    string   // all members are guest ports...
	VLAN      uint16   // ...whose untagged frames are in this VLAN, where that is not 0...
	Uplinks   []string // ...except these; only with Bridge and no TAP
	TAP       string   // the fabric's own TAP, made when the fabric starts
	Interface string   // guests are on the segment that this interface leads to
	Sidecar   string   // the network namespace that has this interface is the guest
}

// HasGuard reports whether the kernel can keep guests apart there.
func (a Attachment) HasGuard() bool { return a.Bridge != "" || a.Sidecar != "" }

// SeesPorts reports whether the fabric hears by which port of a bridge a guest's frame came in. What a TAP gets from
// its bridge does not say so.
func (a Attachment) SeesPorts() bool { return a.Bridge != "" && a.TAP == "" }

// String writes "bridge br0 vlan 10 (uplinks eth1, eth2)", "tap arp0 in bridge br0", "interface eth0" or
// "sidecar eth0".
func (a Attachment) String() string {
	switch {
	case a.TAP != "" && a.Bridge != "":
		return "tap " + a.TAP + " in bridge " + a.Bridge
	case a.TAP != "":
		return "tap " + a.TAP
	case a.Interface != "":
		return "interface " + a.Interface
	case a.Sidecar != "":
		return "sidecar " + a.Sidecar
	}
	bridge := "bridge " + a.Bridge
	if a.VLAN != 0 {
		bridge += fmt.Sprintf(" vlan %d", a.VLAN)
	}
	switch len(a.Uplinks) {
	case 0:
		return bridge
	case 1:
		return bridge + " (uplink " + a.Uplinks[0] + ")"
	}
	return bridge + " (uplinks " + strings.Join(a.Uplinks, ", ") + ")"
}

// Guard is what the kernel keeps from a guest of a [VPC] network.
type Guard string

// The guards of a network.
const (
	GuardFull Guard = "full" // everything but IPv4 between its bindings, and what is named beside that
	GuardARP  Guard = "arp"  // ARP
	GuardNone Guard = "none" // nothing: somebody else's rules do it
)

// OnStop is what becomes of the guard when the fabric stops in good order.
type OnStop string

// What becomes of the guard.
const (
	Release OnStop = "release" // it is removed: the bridge is a plain one again
	Hold    OnStop = "hold"    // it stays: ARP goes unanswered, and nothing leaks
)

// API says where the running fabric can be asked and told.
type API struct {
	Socket string // path of the unix socket; "" for no API
	Group  string // that may use it beside root and the fabric's own user; "" for that of the fabric
}

// DefaultSocket is where the API is, and is looked for, when nothing else is said.
const DefaultSocket = "/run/arpfabric/api.sock"

// Metrics says where Prometheus can fetch the metrics.
type Metrics struct {
	Listen string // host:port; "" for nowhere
}

// Log says how the fabric writes its log, on standard error.
type Log struct {
	Level  slog.Level
	Format LogFormat
}

// LogFormat is the form of a log line.
type LogFormat string

// The forms of a log line.
const (
	Text LogFormat = "text" // key=value
	JSON LogFormat = "json"
)
