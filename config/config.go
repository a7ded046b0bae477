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
	Log      Log
}

// Network is one virtual layer-3 network.
type Network struct {
	Name     string
	Mode     Mode
	Attach   Attachment
	Subnet   netip.Prefix // the zero Prefix where the file names none
	Gateway  netip.Addr   // the zero Addr where the file names none
	Registry *responder.Registry
	Policy   responder.Policy
	Guard    Guard  // GuardNone where Attach has no bridge
	OnStop   OnStop // Release where Attach has no bridge
	Inform   bool   // guests hear of it at once when an address gets another MAC
}

// Summary describes the network in one line: "lab: vpc on bridge br0, 3 bindings, guard arp".
func (n *Network) Summary() string {
	bindings := "1 binding"
	if n.Registry.Len() != 1 {
		bindings = fmt.Sprintf("%d bindings", n.Registry.Len())
	}
	summary := fmt.Sprintf("%s: %s on %s, %s", n.Name, n.Mode, n.Attach, bindings)
	if n.Mode == VPC && n.Attach.Bridge != "" {
		summary += ", guard " + string(n.Guard)
	}
	return summary
}

// Mode is what the fabric does with the frames it sees.
type Mode string

// The modes of a network.
const (
	VPC     Mode = "vpc"     // intercept, answer, drop
	Classic Mode = "classic" // change nothing, report what VPC would have done
)

// Attachment says where a network's guests are. Exactly one of Bridge, TAP and Interface is set, but for
// a TAP that is put into a bridge, which has both.
type Attachment struct {
	Bridge    string   // all members are guest ports...
	Uplinks   []string // ...except these; only with Bridge and no TAP
	TAP       string   // the fabric's own TAP, made when the fabric starts
	Interface string   // guests are on the segment that this interface leads to
}

// String writes "bridge br0 (uplinks eth1, eth2)", "tap arp0 in bridge br0" or "interface eth0".
func (a Attachment) String() string {
	switch {
	case a.TAP != "" && a.Bridge != "":
		return "tap " + a.TAP + " in bridge " + a.Bridge
	case a.TAP != "":
		return "tap " + a.TAP
	case a.Interface != "":
		return "interface " + a.Interface
	case len(a.Uplinks) == 0:
		return "bridge " + a.Bridge
	case len(a.Uplinks) == 1:
		return "bridge " + a.Bridge + " (uplink " + a.Uplinks[0] + ")"
	}
	return "bridge " + a.Bridge + " (uplinks " + strings.Join(a.Uplinks, ", ") + ")"
}

// Guard is how much the kernel keeps from crossing a bridge of a [VPC] network.
type Guard string

// The guards of a network.
const (
	GuardARP  Guard = "arp"  // guests' ARP
	GuardNone Guard = "none" // nothing: somebody else's rules do it
)

// OnStop is what becomes of the guard when the fabric stops in good order.
type OnStop string

// What becomes of the guard.
const (
	Release OnStop = "release" // it is removed: the bridge is a plain one again
	Hold    OnStop = "hold"    // it stays: ARP goes unanswered, and nothing leaks
)

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
