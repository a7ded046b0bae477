package api

import (
	"fmt"
	"iter"
	"net/netip"
	"time"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// Status is the state of a fabric.
type Status struct {
	Version       string        `json:"version"` // of the program
	PID           int           `json:"pid"`
	Started       time.Time     `json:"started"`
	Configuration Configuration `json:"configuration"`
	Networks      []Network     `json:"networks"` // by name
	Datapath      Datapath      `json:"datapath"`
	Guard         Guard         `json:"guard"`
	Store         *Store        `json:"store,omitzero"` // of the allocations; absent if nothing was allocated yet

	Page *Page `json:"page,omitzero"` // for browsers; absent if the configuration has none

	// Reasons counts the verdicts on frames by reason, on all current ports.
	Reasons map[string]uint64 `json:"reasons"`
	Refused uint64            `json:"refused"` // frames that were not on the allow-list, on all current ports

	// Problems are what an operator has to repair, a line each. Violations are none: they are the guests'.
	Problems []string `json:"problems"`

	Violations Violations `json:"violations"`
	Losses     Losses     `json:"losses"`
}

// Configuration is the configuration that is in force, with the result of the last reload.
type Configuration struct {
	Files      []string   `json:"files"` // from which it was read, the YAML file first
	Loaded     time.Time  `json:"loaded"`
	Generation uint64     `json:"generation"`         // 1 at the start, and one more after each reload that succeeds
	Failures   uint64     `json:"failures"`           // reloads that failed
	LastError  string     `json:"last_error"`         // of the last reload; may have several lines, and is "" if the reload succeeded
	FailedAt   *time.Time `json:"failed_at,omitzero"` // when the last reload failed; absent if it succeeded

	// NeedRestart has the keys that the fabric still uses as they were at its start, though the files have other values.
	NeedRestart []string `json:"need_restart,omitzero"`
}

// Network is a network of the configuration that is in force.
type Network struct {
	Name     string `json:"name"`
	Mode     string `json:"mode"`   // vpc or classic
	Attach   string `json:"attach"` // such as "bridge br0 vlan 10 (uplink eth1)"
	Guard    string `json:"guard"`  // full, arp or none; always none if the mode is classic
	Bindings int    `json:"bindings"`
	Ports    int    `json:"ports"` // current guest ports

	Subnet  string `json:"subnet,omitzero"`  // such as 10.239.0.0/24; absent if the configuration has none
	Gateway string `json:"gateway,omitzero"` // absent if the configuration has none

	Sources []SourceState `json:"sources,omitzero"` // that the network follows, in their order

	// Findings says what on the machine differs from the configuration, such as an uplink that is no member of the bridge.
	Findings []string `json:"findings,omitzero"`
	WaitsFor string   `json:"waits_for,omitzero"` // why the network has not started, and what to do; absent if it has
}

// SourceState is the state of a source that a network follows.
type SourceState struct {
	Kind     Source     `json:"kind"`               // such as dnsmasq_leases
	Of       string     `json:"of"`                 // the path of the file, or the name of Docker's network
	Bindings int        `json:"bindings"`           // that it has now, also those that are not in force
	Read     *time.Time `json:"read,omitzero"`      // when it was last read as a whole; absent if it never was
	Error    string     `json:"error,omitzero"`     // why the last reading failed; absent if it succeeded
	FailedAt *time.Time `json:"failed_at,omitzero"` // since when it fails; absent if it does not

	// LeftOut says which entries are no bindings, though somebody will miss them.
	LeftOut []string `json:"left_out,omitzero"`
}

// Datapath is how guests are answered, and their frames forwarded.
type Datapath struct {
	InForce string `json:"in_force"`     // kernel (eBPF programs, as far as they can) or user (the fabric itself)
	Why     string `json:"why,omitzero"` // why it is not kernel; absent if it is

	Program *Program `json:"program,omitzero"` // the eBPF program; absent if none is attached
}

// Program is the eBPF program that answers guests and forwards their frames.
type Program struct {
	Ports int   `json:"ports"` // that it is attached to
	Maps  []Map `json:"maps"`

	// Detours says why the frames of some guests cross the bridge, although the program could send them past it.
	Detours []string `json:"detours,omitzero"`

	// LeftToFabric says why the fabric answers the requests of some ports, or of sidecars' guests, itself.
	LeftToFabric []string `json:"left_to_fabric,omitzero"`
}

// Map is a table of the eBPF program.
type Map struct {
	Name       string `json:"name"`        // as in bpftool map
	MaxEntries uint32 `json:"max_entries"` // the program is replaced by one with larger maps when it is full
	Bytes      uint64 `json:"bytes"`       // of the kernel's memory; an estimate before Linux 6.4
}

// Store is where allocations are kept.
type Store struct {
	Folder      string `json:"folder"`
	Allocations int    `json:"allocations"` // of all networks, also of those that are not in the configuration

	// OtherNetworks are the networks that have allocations, but are not in the configuration.
	OtherNetworks []string `json:"other_networks,omitzero"`

	Etcd *Etcd `json:"etcd,omitzero"` // absent if only the folder keeps the allocations
}

// Etcd is the cluster that keeps the allocations for many hosts.
type Etcd struct {
	Endpoints []string   `json:"endpoints"`
	Prefix    string     `json:"prefix"`           // of all keys
	Host      string     `json:"host"`             // the name of this host
	Current   *time.Time `json:"current,omitzero"` // when the allocations were last known to be those of etcd; absent for never
	Error     string     `json:"error,omitzero"`   // why etcd cannot be used; absent if it can
}

// Page is where the page for browsers is.
type Page struct {
	URL   string `json:"url,omitzero"`   // for a browser on this machine
	Error string `json:"error,omitzero"` // why there is none; absent if there is
}

// Guard is the state of the guard, the rules in the kernel.
type Guard struct {
	Reinstalled uint64 `json:"reinstalled"` // times that arpfabric installed it again because another program had changed it
}

// Violations counts the records of guests that used a MAC or an address that is not their own.
type Violations struct {
	Records   int    `json:"records"`
	Forgotten uint64 `json:"forgotten"` // records that arpfabric deleted to make room for others
}

// Losses counts frames and messages that the fabric did not read, or could not assign to a port.
type Losses struct {
	Frames uint64 `json:"frames"` // times that the kernel dropped frames because the fabric did not read them in time
	Events uint64 `json:"events"` // times that the kernel dropped messages about interfaces and rules; the fabric then reads the whole state again
	Strays uint64 `json:"strays"` // frames from interfaces that were not a port, or no longer a port
}

// Port is a current port, with the verdicts on its frames.
type Port struct {
	Network string            `json:"network"`
	Name    string            `json:"name"`
	Index   int               `json:"index"` // ifindex
	Kind    PortKind          `json:"kind"`
	MAC     string            `json:"mac"`     // of the interface on the host, not of the guest
	Reasons map[string]uint64 `json:"reasons"` // number of verdicts by reason
	Refused uint64            `json:"refused"` // frames that were not on the allow-list

	// LastSeen is when the kernel last received a frame from the port, of any kind. It is absent if there was none since the
	// fabric started, and with a TAP or a sidecar, where the fabric does not know.
	LastSeen *time.Time `json:"last_seen,omitzero"`

	// MACs are registered MACs that are behind the port, at most MaxPortMACs. They are absent where the bridge, and not the
	// fabric, knows the locations: without the full guard.
	MACs []LocatedMAC `json:"macs,omitzero"`
}

// MaxPortMACs is the most MACs that are listed for a port.
const MaxPortMACs = 100

// LocatedMAC is a MAC behind a port.
type LocatedMAC struct {
	MAC   string    `json:"mac"`
	Since time.Time `json:"since"`
	From  string    `json:"from"` // binding, arp, rarp, ipv4, dhcp, ipv6, or bridge: how the fabric knows it

	// Addresses are those that are bound to the MAC, ranges as FIRST-LAST, at most MaxMACAddresses; absent if there are none.
	Addresses []string `json:"addresses,omitzero"`
	Name      string   `json:"name,omitzero"` // of the guest, by the first binding that has one
}

// MaxMACAddresses is the most addresses that are listed for a MAC of a port.
const MaxMACAddresses = 20

// Location is the port behind which a MAC is.
type Location struct {
	Port  string    `json:"port"`
	Since time.Time `json:"since"`
	From  string    `json:"from"` // binding, arp, rarp, ipv4, dhcp, ipv6, or bridge: how the fabric knows it
}

// PortKind tells what is behind a port.
type PortKind string

// The kinds of ports.
const (
	GuestPort PortKind = "guest"
	Uplink    PortKind = "uplink"
	Host      PortKind = "host" // the host's own stack
)

// Violation is a record of a guest that used a MAC or an address that is not its own.
type Violation struct {
	Network string     `json:"network"`
	Port    string     `json:"port"`
	Reason  string     `json:"reason"`
	Action  string     `json:"action"`         // drop, or pass if the mode is classic
	MAC     string     `json:"mac"`            // source MAC of the frames
	Address netip.Addr `json:"address"`        // address that the frames use, or probe for; "" if they name none
	Target  netip.Addr `json:"target"`         // address that the frames are for; "" if they name none
	Owner   *Binding   `json:"owner,omitzero"` // binding of the address; absent if it has none
	First   time.Time  `json:"first"`
	Last    time.Time  `json:"last"`
	Count   uint64     `json:"count"`
}

// Cleared is the result of clearing violations.
type Cleared struct {
	Records int `json:"records"` // that were removed
}

// Binding is a binding of a network's registry.
type Binding struct {
	Network string     `json:"network"`
	First   netip.Addr `json:"first"` // "" if the binding is of a MAC alone, without an address
	Last    netip.Addr `json:"last"`  // the same as first if the binding is of one address
	MAC     string     `json:"mac"`
	Name    string     `json:"name"`
	Port    string     `json:"port"`   // the only port that the owner may use; "" for any
	Origin  string     `json:"origin"` // file:line, or store:revision

	// MACs are the MACs between which the addresses move, that of the present holder included; absent if they do not move.
	MACs []string `json:"macs,omitzero"`

	// Routes are the prefixes that the owner forwards as a router; absent if it is none.
	Routes []string `json:"routes,omitzero"`

	// Location is where the MAC is, in answers about bindings; absent if the fabric does not know.
	Location *Location `json:"location,omitzero"`
}

// BindingOf describes a binding of a network, without its location.
func BindingOf(network string, b registry.Binding) Binding {
	return Binding{
		Network: network, First: b.First, Last: b.Last, MAC: b.MAC.String(), Name: b.Name, Port: b.Port,
		Origin: b.Origin.String(), MACs: texts(b.Candidates.All()), Routes: texts(b.Routes.All()),
	}
}

// texts returns values as text, or nil if there are none.
func texts[T fmt.Stringer](values iter.Seq[T]) (list []string) {
	for v := range values {
		list = append(list, v.String())
	}
	return list
}

// MaxBindings is the most bindings that a look-up of one MAC returns.
const MaxBindings = 1000

// Event is the verdict on a frame, or, with only time and lost, a report of lost events.
type Event struct {
	Time        time.Time `json:"time"`
	Network     string    `json:"network,omitempty"`
	Port        string    `json:"port,omitempty"`
	Action      string    `json:"action,omitempty"`
	Reason      string    `json:"reason,omitempty"`
	DryRun      bool      `json:"dry_run,omitempty"`     // the mode is classic: the bridge forwarded the frame, whatever the verdict
	Undelivered string    `json:"undelivered,omitempty"` // the cause for which the answer did not reach the requester, a program of the host
	Earlier     bool      `json:"earlier,omitempty"`     // the fabric made the verdict before the client began to watch
	Words       string    `json:"words,omitempty"`       // the frame as tcpdump prints it
	Frame       []byte    `json:"frame,omitempty"`       // the first 128 bytes of the frame at most, in base64
	Length      int       `json:"length,omitempty"`      // of the whole frame, in bytes
	Lost        uint64    `json:"lost,omitempty"`        // number of events that this client did not get, because it read too slowly or there were too many for all clients
}

// Problem is the error document of a request that failed (RFC 9457).
type Problem struct {
	Title  string `json:"title"` // of the HTTP status
	Status int    `json:"status"`
	Detail string `json:"detail"` // the cause and the remedy; may have several lines
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }
