package responder

import "fmt"

// Action is what becomes of a frame.
type Action uint8

// The zero Action is Drop, so that a verdict nobody filled in lets nothing through.
const (
	Drop  Action = iota // the frame goes nowhere
	Reply               // the frame goes nowhere, and an answer goes back out of the port it came in by
	Pass                // the frame is none of the fabric's business and goes on its way
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

// Reason says why a verdict is what it is. The enumeration is closed, and its spelling (see
// [Reason.String]) is the same wherever a reason is shown.
type Reason uint8

// The reasons, in the order in which Handle looks for them, and then those that Admit alone has, in its order.
const (
	NotARP               Reason = iota + 1 // the EtherType is not ARP
	Malformed                              // not a whole ARP packet for IPv4 over Ethernet II (RFC 826), or IPv4 header
	UnexpectedVLAN                         // tagged, on a port that is no trunk, or more than once; other than ARP: at all
	UnsupportedOperation                   // neither a request nor a reply
	RateLimited                            // the port sends more than its limit
	InvalidSenderMAC                       // SenderHardwareAddr, or the source of other than ARP, is zero or a group's
	SenderMACMismatch                      // the Ethernet source is not SenderHardwareAddr
	InvalidSenderIP                        // SenderIP is multicast, broadcast, loopback or in 240.0.0.0/4
	UnregisteredSender                     // SenderIP has no binding
	SpoofedSender                          // SenderIP is bound to another MAC or another port
	GuestReply                             // a reply: guests of a VPC have nobody to answer
	Announcement                           // SenderIP is TargetIP (RFC 5227, 3)
	HostAddress                            // TargetIP is the host's own: its kernel answers
	UnknownTarget                          // TargetIP has no binding
	UnallocatedProbe                       // a probe for an address without a binding, denied by policy
	SelfProbe                              // a probe by the owner of TargetIP (RFC 5227, 1.1)
	ConflictProbe                          // a probe for an address that is bound to another MAC
	Answered                               // a request for an address with a binding

	RARPAnnouncement     // RARP of a registered MAC, as QEMU sends after a migration: teaches the bridge, reaches nobody
	UnregisteredMAC      // RARP, IPv6 or DHCP from a MAC that has no binding, or only such of other ports
	IPv6                 // passes or not, by policy
	UnsupportedEtherType // neither ARP, RARP, IPv4 nor IPv6; 802.3 with LLC
	DHCPClient           // a registered MAC asks for an address: reaches the host and uplinks (RFC 2131)
	UnregisteredSource   // the source address of IPv4 has no binding
	SpoofedSource        // the source is the host's MAC; the source address of IPv4 is bound to another MAC or port
	GroupDestination     // IPv4 to a broadcast or multicast MAC
	UnknownDestination   // IPv4 to a MAC that is neither registered nor the host's
	Admitted             // IPv4 from the source's owner to a host that there is
)

// NumReasons is one more than the highest Reason: the length of an array indexed by Reason.
const NumReasons = int(Admitted) + 1

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
}

// String returns the reason's one spelling, such as "unknown-target".
func (r Reason) String() string {
	if int(r) < NumReasons && reasonNames[r] != "" {
		return reasonNames[r]
	}
	return fmt.Sprintf("Reason(%d)", uint8(r))
}

// ReasonOf returns the reason with that spelling.
func ReasonOf(name string) (Reason, bool) {
	for r := range reasonNames {
		if name != "" && reasonNames[r] == name {
			return Reason(r), true
		}
	}
	return 0, false
}

// ActionOf returns the action with that spelling.
func ActionOf(name string) (Action, bool) {
	for _, a := range []Action{Drop, Reply, Pass} {
		if a.String() == name {
			return a, true
		}
	}
	return 0, false
}

// Verdict is what Handle or Admit makes of one frame.
type Verdict struct {
	Action Action
	Reason Reason
	Len    int // length of the answer in bytes; 0 unless Action is Reply
}
