package config

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// Config is a valid configuration.
type Config struct {
	Path     string            // the path of the YAML file
	Files    []string          // the files that it was read from: the YAML file, then hosts_files, registry_files, and registry_dir with its files
	Digest   [sha256.Size]byte // of the content of Files
	Networks []Network         // at least one, sorted by name
	API      API
	Metrics  Metrics
	Page     Page
	Log      Log
	Store    Store
	Datapath Datapath
}

// Network is one virtual layer-3 network.
type Network struct {
	Name     string
	Origin   registry.Origin // the place of its name in the file
	Mode     Mode
	Attach   Attachment
	Subnet   netip.Prefix       // the zero Prefix if the file has none
	Gateway  netip.Addr         // the zero Addr if the file has none
	Registry *registry.Registry // of the bindings in the files
	Sources  []Source           // of more bindings, in order
	Policy   responder.Policy
	// If Attach.HasGuard is false, Guard is GuardNone, RateLimit 0 and OnStop Release.
	Guard     Guard
	RateLimit uint32 // ARP frames a second that a port may send; 0 for no limit
	OnStop    OnStop

	ThroughBridge bool // all frames between guests cross the bridge, also those that the kernel could send straight to their port

	Inform bool // announce to guests that an address has another MAC

	Allocation Allocation
	Overlay    Overlay

	// PolicyOrigins has the place of each key of the policy that is written in the file. Other keys have their default.
	PolicyOrigins map[string]registry.Origin
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

// GuardInForce returns the guard that the kernel enforces: GuardNone if the mode is classic.
func (n *Network) GuardInForce() Guard {
	if n.Mode == Classic {
		return GuardNone
	}
	return n.Guard
}

// Mode is the mode of a network.
type Mode string

// The modes of a network.
const (
	VPC     Mode = "vpc"     // intercept ARP, answer it or drop it
	Classic Mode = "classic" // change nothing, and report what VPC would do
)

// AttachKind is the kind of a network's attachment.
type AttachKind uint8

// The kinds of attachments.
const (
	AttachBridge    AttachKind = iota // guests are behind the members of a bridge
	AttachTAP                         // guests are behind a TAP that the fabric makes when it starts
	AttachInterface                   // guests are on the segment of an interface
	AttachSidecar                     // the guest is the network namespace of an interface
)

// String returns "bridge", "tap", "interface" or "sidecar", the keys of the configuration.
func (k AttachKind) String() string {
	return [...]string{AttachBridge: "bridge", AttachTAP: "tap", AttachInterface: "interface", AttachSidecar: "sidecar"}[k]
}

// Attachment is where a network's guests are.
type Attachment struct {
	Kind    AttachKind
	Device  string   // the TAP, the interface, or the sidecar's interface; empty for AttachBridge
	Bridge  string   // the bridge, or the bridge that the TAP is a member of; empty if there is none
	VLAN    uint16   // for AttachBridge: the VLAN of guests' untagged frames; 0 for the whole bridge
	Uplinks []string // for AttachBridge: the members that are uplinks, with the device of the overlay
}

// InBridge reports whether guests are behind the members of a bridge.
func (a Attachment) InBridge() bool { return a.Bridge != "" }

// HasGuard reports whether the kernel can isolate guests on this attachment.
func (a Attachment) HasGuard() bool { return a.InBridge() || a.Kind == AttachSidecar }

// SeesPorts reports whether the fabric knows the bridge's ingress port of a guest's frame. A TAP does not receive that.
func (a Attachment) SeesPorts() bool { return a.Kind == AttachBridge }

// IsSame reports whether two attachments are the same, except for their uplinks.
func (a Attachment) IsSame(b Attachment) bool {
	return a.Kind == b.Kind && a.Device == b.Device && a.Bridge == b.Bridge && a.VLAN == b.VLAN
}

// String returns "bridge br0 vlan 10 (uplinks eth1, eth2)", "tap arp0 in bridge br0", "interface eth0" or
// "sidecar eth0".
func (a Attachment) String() string {
	text := a.Kind.String() + " " + a.Device
	if a.Kind == AttachBridge {
		text += a.Bridge
	} else if a.InBridge() {
		text += " in bridge " + a.Bridge
	}
	if a.VLAN != 0 {
		text += fmt.Sprintf(" vlan %d", a.VLAN)
	}
	switch len(a.Uplinks) {
	case 0:
		return text
	case 1:
		return text + " (uplink " + a.Uplinks[0] + ")"
	}
	return text + " (uplinks " + strings.Join(a.Uplinks, ", ") + ")"
}

// Guard is the set of frames that the kernel drops at the guest ports of a [VPC] network.
type Guard string

// The guards of a network.
const (
	GuardFull Guard = "full" // everything except an allow-list: IPv4 between bindings, DHCP, RARP
	GuardARP  Guard = "arp"  // only ARP
	GuardNone Guard = "none" // nothing; rules of the operator's own may isolate guests
)

// OnStop is what the fabric does with the guard when it stops. After a crash the guard always stays.
type OnStop string

// The values of OnStop.
const (
	Release OnStop = "release" // remove the guard: the bridge floods again
	Hold    OnStop = "hold"    // keep the guard: ARP gets no answer, and nothing leaks
)

// Datapath is the choice of who answers guests and forwards their frames. The nftables guard is the same with each.
type Datapath string

// The choices of a datapath.
const (
	DatapathAuto   Datapath = "auto"   // DatapathKernel where it is possible, or else DatapathUser
	DatapathKernel Datapath = "kernel" // eBPF programs in the kernel, as far as they can; the rest as with DatapathUser
	DatapathUser   Datapath = "user"   // nftables hands ARP to the fabric
)

// API is the configuration of the running fabric's API.
type API struct {
	Socket  string // the path of the unix socket; "" for no API
	Group   string // the group that may use it, beside root and the fabric's own user; "" for the fabric's own group
	Writers string // the group that may change allocations, beside root and the fabric's own user; "" for nobody else
}

// DefaultSocket is the default path of the API's socket, for the fabric and for its clients.
const DefaultSocket = "/run/arpfabric/api.sock"

// Metrics is the configuration of the metrics for Prometheus.
type Metrics struct {
	Listen string // host:port; "" for no metrics
}

// Page is the configuration of the page that shows the running fabric in a browser.
type Page struct {
	Listen    string // host:port; "" for no page
	TokenFile string // the path of the file with the token that the page asks for; "" for none
}

// Log is the configuration of the log, which goes to standard error.
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
