package responder

import (
	"fmt"
	"iter"
)

// Action is the action that the fabric takes on a frame.
type Action uint8

// The zero Action is Drop, so that a verdict which was not set lets nothing pass.
const (
	Drop  Action = iota // drop the frame
	Reply               // drop the frame, and send an answer out of the port that it came in by
	Pass                // let the frame pass unchanged
)

// NumActions is one more than the highest Action: the length of an array indexed by Action.
const NumActions = int(Pass) + 1

// String returns "drop", "reply" or "pass".
func (a Action) String() string {
	switch a {
	case Drop:
		return "drop"
	case Reply:
		return "reply"
	case Pass:
		return "pass"
	}
	return fmt.Sprintf("Action(%d)", uint8(a))
}

// Reason is the reason for a verdict. The enumeration is closed. A reason has the same spelling (see [Reason.String]) and
// the same number wherever it is shown or stored.
type Reason uint8

// The reasons of the decision about ARP, in the order of its table, except NotHolder, which was added to both tables
// afterwards.
const (
	NotARP               Reason = 1  // the EtherType is not ARP
	Malformed            Reason = 2  // no complete ARP packet for IPv4 over Ethernet II (RFC 826), or IPv4 header (RFC 791)
	UnexpectedVLAN       Reason = 3  // any VLAN tag; for ARP on a trunk, more than one
	UnsupportedOperation Reason = 4  // the operation is neither request nor reply
	RateLimited          Reason = 5  // the port is over its rate limit
	InvalidSenderMAC     Reason = 6  // SenderHardwareAddr, or for other frames the source, is zero, broadcast or multicast
	SenderMACMismatch    Reason = 7  // the Ethernet source is not SenderHardwareAddr
	InvalidSenderIP      Reason = 8  // SenderIP is multicast, broadcast, loopback or in 240.0.0.0/4
	UnregisteredSender   Reason = 9  // SenderIP has no binding
	SpoofedSender        Reason = 10 // SenderIP is bound to another MAC or another port
	GuestReply           Reason = 11 // a reply; in a VPC only the fabric answers
	Announcement         Reason = 12 // SenderIP is TargetIP (RFC 5227, 3)
	HostAddress          Reason = 13 // TargetIP is the host's own, and its kernel answers
	UnknownTarget        Reason = 14 // TargetIP has no binding
	UnallocatedProbe     Reason = 15 // a probe for an address without a binding, answered with DenyMAC by policy
	SelfProbe            Reason = 16 // a probe by the owner of TargetIP (RFC 5227, 1.1)
	ConflictProbe        Reason = 17 // a probe for an address that is bound to another MAC
	Answered             Reason = 18 // a request for an address with a binding
	NotHolder            Reason = 19 // the sender may hold its address, and has not announced it since another did; ARP or IPv4
)

// The reasons that only frames other than ARP have. They begin at 64, to leave numbers for more rows of the decision about
// ARP. Up to 73 they are in the order of the allow-list's table; the later ones were added to the table afterwards.
const (
	RARPAnnouncement     Reason = 64 // RARP from a registered MAC, as sent after a migration: only the bridge learns from it
	UnregisteredMAC      Reason = 65 // RARP, IPv6 or DHCP from a MAC that has no binding, or only bindings of other ports
	IPv6                 Reason = 66 // IPv6; passed or dropped by policy
	UnsupportedEtherType Reason = 67 // not ARP, RARP, IPv4 or IPv6; includes 802.3 with LLC
	DHCPClient           Reason = 68 // DHCP from a client with a registered MAC, or with `dhcp: open` any: the host and uplinks receive it (RFC 2131)
	UnregisteredSource   Reason = 69 // the IPv4 source address has no binding, and is in no route of the sender
	SpoofedSource        Reason = 70 // the source is the host's MAC, or the IPv4 source is bound to another MAC or port
	GroupDestination     Reason = 71 // IPv4 to a broadcast or multicast MAC
	UnknownDestination   Reason = 72 // IPv4 to a MAC that is neither registered nor the host's
	Admitted             Reason = 73 // IPv4 from the owner of its source address, or a router, to the owner of its destination, the host or a router
	ForeignDestination   Reason = 74 // IPv4 to an address that the destination's MAC does not have
	InvalidDHCP          Reason = 75 // to a DHCP server in another client's name or by a relay, or to a DHCP client
)

// MisplacedChecksum means that the sender wants the kernel to write a checksum over what other rows look at (CHECKSUM_PARTIAL).
// It has no row: the bytes of a frame do not show it, only a datapath in the kernel sees it.
const MisplacedChecksum Reason = 76

// NumReasons is one more than the highest Reason: the length of an array indexed by Reason.
const NumReasons = int(MisplacedChecksum) + 1

var reasonNames = [NumReasons]string{
	NotARP:               "not-arp",
	Malformed:            "malformed",
	UnexpectedVLAN:       "unexpected-vlan",
	UnsupportedOperation: "unsupported-operation",
	RateLimited:          "rate-limited",
	InvalidSenderMAC:     "invalid-sender-mac",
	SenderMACMismatch:    "sender-mac-mismatch",
	InvalidSenderIP:      "invalid-sender-ip",
	UnregisteredSender:   "unregistered-sender",
	SpoofedSender:        "spoofed-sender",
	GuestReply:           "guest-reply",
	Announcement:         "announcement",
	HostAddress:          "host-address",
	UnknownTarget:        "unknown-target",
	UnallocatedProbe:     "unallocated-probe",
	SelfProbe:            "self-probe",
	ConflictProbe:        "conflict-probe",
	Answered:             "answered",
	NotHolder:            "not-holder",
	RARPAnnouncement:     "rarp-announcement",
	UnregisteredMAC:      "unregistered-mac",
	IPv6:                 "ipv6",
	UnsupportedEtherType: "unsupported-ethertype",
	DHCPClient:           "dhcp-client",
	UnregisteredSource:   "unregistered-source",
	SpoofedSource:        "spoofed-source",
	GroupDestination:     "group-destination",
	UnknownDestination:   "unknown-destination",
	Admitted:             "admitted",
	ForeignDestination:   "foreign-destination",
	InvalidDHCP:          "invalid-dhcp",
	MisplacedChecksum:    "misplaced-checksum",
}

// String returns the reason's spelling, such as "unknown-target".
func (r Reason) String() string {
	if r.exists() {
		return reasonNames[r]
	}
	return fmt.Sprintf("Reason(%d)", uint8(r))
}

// exists reports whether r is a reason. Not every number below NumReasons is one.
func (r Reason) exists() bool { return int(r) < NumReasons && reasonNames[r] != "" }

// Reasons yields every reason, in the order of their numbers.
func Reasons() iter.Seq[Reason] {
	return func(yield func(Reason) bool) {
		for r := range Reason(NumReasons) {
			if r.exists() && !yield(r) {
				return
			}
		}
	}
}

// ReasonOf returns the reason with the spelling name, or false if there is none.
func ReasonOf(name string) (Reason, bool) {
	for r := range Reasons() {
		if reasonNames[r] == name {
			return r, true
		}
	}
	return 0, false
}

// ActionOf returns the action with the spelling name, or false if there is none.
func ActionOf(name string) (Action, bool) {
	for _, a := range []Action{Drop, Reply, Pass} {
		if a.String() == name {
			return a, true
		}
	}
	return 0, false
}

// Verdict is the decision about one frame.
type Verdict struct {
	Action Action
	Reason Reason
	Len    int // the length of the answer in bytes; 0 unless Action is Reply

	// AnnouncesHolder says that the frame announces its sender as the holder of an address that moves between MACs. The
	// caller makes it that, if it is not.
	AnnouncesHolder bool
}
