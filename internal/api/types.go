package api

import (
	"net/netip"
	"time"
)

// Status is how a fabric is.
type Status struct {
	Version       string        `json:"version"` // what was built
	PID           int           `json:"pid"`
	Started       time.Time     `json:"started"`
	Configuration Configuration `json:"configuration"`
	Networks      []Network     `json:"networks"` // by name
	Guard         Guard         `json:"guard"`

	// Reasons is how often each reason was the verdict, on all ports that there are now.
	Reasons map[string]uint64 `json:"reasons"`
	Refused uint64            `json:"refused"` // frames that were not on the allow-list, on the same ports

	Violations Violations `json:"violations"`
	Losses     Losses     `json:"losses"`
}

// Configuration is what is in force, and what has become of attempts to change it.
type Configuration struct {
	Files      []string   `json:"files"` // that it was read from, the YAML file first
	Loaded     time.Time  `json:"loaded"`
	Generation uint64     `json:"generation"`         // 1 at the start, one more with each reload that succeeds
	Failures   uint64     `json:"failures"`           // reloads that failed
	LastError  string     `json:"last_error"`         // of the last reload; "" if it succeeded. May have several lines
	FailedAt   *time.Time `json:"failed_at,omitzero"` // when the last reload failed
}

// Network is a network as it is in force.
type Network struct {
	Name     string `json:"name"`
	Mode     string `json:"mode"`   // vpc or classic
	Attach   string `json:"attach"` // "bridge br0 vlan 10 (uplink eth1)"
	Guard    string `json:"guard"`  // full, arp or none, as always where the mode is classic
	Bindings int    `json:"bindings"`
	Ports    int    `json:"ports"` // guest ports there are now
}

// Guard is the state of the rules in the kernel.
type Guard struct {
	Reinstalled uint64 `json:"reinstalled"` // how often it was put back after somebody had changed it
}

// Violations counts the records of who used an identity that is not theirs.
type Violations struct {
	Records   int    `json:"records"`
	Forgotten uint64 `json:"forgotten"` // records that have made room for others
}

// Losses counts what the fabric did not see.
type Losses struct {
	Frames uint64 `json:"frames"` // how often the kernel threw frames away because they were not read in time
	Events uint64 `json:"events"` // and messages about interfaces and rules, after which all is read anew
	Strays uint64 `json:"strays"` // frames from interfaces that were no port (any more)
}

// Port is a port, and what its frames were.
type Port struct {
	Network string            `json:"network"`
	Name    string            `json:"name"`
	Index   int               `json:"index"` // ifindex
	Kind    PortKind          `json:"kind"`
	MAC     string            `json:"mac"` // the interface's own, which is not its guest's
	Reasons map[string]uint64 `json:"reasons"`
	Refused uint64            `json:"refused"` // frames that were not on the allow-list
}

// PortKind is who is behind a port.
type PortKind string

// The kinds of ports.
const (
	GuestPort PortKind = "guest"
	Uplink    PortKind = "uplink"
	Host      PortKind = "host" // the host's own stack
)

// Violation is a record of who used an identity that is not theirs.
type Violation struct {
	Network string     `json:"network"`
	Port    string     `json:"port"`
	Reason  string     `json:"reason"`
	Action  string     `json:"action"`         // what became of the frames; pass where the mode is classic
	MAC     string     `json:"mac"`            // that the frames came from
	Address netip.Addr `json:"address"`        // that they claimed; "" for none
	Target  netip.Addr `json:"target"`         // that they were for; "" for none
	Owner   *Binding   `json:"owner,omitzero"` // whose the claimed address is
	First   time.Time  `json:"first"`
	Last    time.Time  `json:"last"`
	Count   uint64     `json:"count"`
}

// Binding is a binding of a network's registry.
type Binding struct {
	Network string     `json:"network"`
	First   netip.Addr `json:"first"`
	Last    netip.Addr `json:"last"` // the same as first for one address
	MAC     string     `json:"mac"`
	Name    string     `json:"name"`
	Port    string     `json:"port"`   // the only one that its owner may use; "" for any
	Origin  string     `json:"origin"` // file:line
}

// MostBindings is how many bindings of one MAC are told.
const MostBindings = 1000

// Event is the verdict on a frame, or, with no frame, word of events that were lost.
type Event struct {
	Time    time.Time `json:"time"`
	Network string    `json:"network,omitempty"`
	Port    string    `json:"port,omitempty"`
	Action  string    `json:"action,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	DryRun  bool      `json:"dry_run,omitempty"` // the mode is classic: the frame went on its way all the same
	Words   string    `json:"words,omitempty"`   // tcpdump's
	Frame   []byte    `json:"frame,omitempty"`   // its beginning, at most 128 bytes, in base64
	Length  int       `json:"length,omitempty"`  // of the whole frame, in bytes
	Lost    uint64    `json:"lost,omitempty"`    // how many did not reach this listener, which was too slow, or too many came for all of them
}

// Problem says why a request failed (RFC 9457).
type Problem struct {
	Title  string `json:"title"` // of the HTTP status
	Status int    `json:"status"`
	Detail string `json:"detail"` // what was wrong and what to do; may have several lines
}

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }
