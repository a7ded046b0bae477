package responder_test

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// bindings returns those of two hosts, and of a load balancer that has a range of addresses.
func bindings() []registry.Binding {
	address := func(s, mac string) registry.Binding {
		owner, err := registry.ParseMAC(mac)
		if err != nil {
			panic(err)
		}
		first, last := netip.MustParseAddr(s), netip.MustParseAddr(s)
		return registry.Binding{First: first, Last: last, MAC: owner}
	}
	pool := address("10.239.0.128", "02:00:0a:de:54:a8")
	pool.Last = netip.MustParseAddr("10.239.0.191")
	return []registry.Binding{
		address("10.239.0.1", "02:00:00:de:54:a8"),
		address("10.239.0.101", "02:00:06:de:54:a8"),
		pool,
	}
}

// whoHasGateway is a guest's broadcast request for its gateway, as read from a packet socket or a TAP.
var whoHasGateway = []byte{
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // to all stations
	0x02, 0x00, 0x06, 0xde, 0x54, 0xa8, // from the guest
	0x08, 0x06, // ARP
	0, 1, 0x08, 0x00, 6, 4, 0, 1, // Ethernet, IPv4, request
	0x02, 0x00, 0x06, 0xde, 0x54, 0xa8, 10, 239, 0, 101, // sender
	0, 0, 0, 0, 0, 0, 10, 239, 0, 1, // target
}

// A program that reads frames from guests and writes answers back needs a registry, a responder, and a buffer
// for the answer.
func Example() {
	known, err := registry.New(slices.Values(bindings()))
	if err != nil {
		fmt.Println(err)
		return
	}
	r := responder.New(known, responder.Policy{})

	answer := make([]byte, responder.MaxReplyLen)
	verdict := r.Decide(responder.Ingress{Port: "vnet0"}, whoHasGateway, answer)

	fmt.Println(responder.Describe(whoHasGateway))
	fmt.Println(verdict.Action, verdict.Reason)
	if verdict.Action == responder.Reply {
		answer = answer[:verdict.Len] // to be sent out of vnet0
		fmt.Println(responder.Describe(answer))
	}
	// Output:
	// ARP, Request who-has 10.239.0.1 tell 10.239.0.101, length 28
	// reply answered
	// ARP, Reply 10.239.0.1 is-at 02:00:00:de:54:a8, length 46
}

// A dropped frame has a reason. Here the sender is on a port other than its own.
func ExampleResponder_Decide_drop() {
	tied := bindings()
	tied[1].Port = "vnet3"
	known, err := registry.New(slices.Values(tied))
	if err != nil {
		fmt.Println(err)
		return
	}
	r := responder.New(known, responder.Policy{})
	verdict := r.Decide(responder.Ingress{Port: "vnet0"}, whoHasGateway, make([]byte, responder.MaxReplyLen))
	fmt.Println(verdict.Action, verdict.Reason)
	// Output: drop spoofed-sender
}

// If guests choose their own addresses, the policy can accept every sender, and deny probes for addresses without a
// binding.
func ExamplePolicy() {
	known, err := registry.New(slices.Values(bindings()))
	if err != nil {
		fmt.Println(err)
		return
	}
	policy := responder.Policy{
		AnySender: true,
		DenyMAC:   registry.MAC{0x02, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa},
	}
	r := responder.New(known, policy)

	probe := slices.Clone(whoHasGateway)
	copy(probe[28:], []byte{0, 0, 0, 0})     // sender IP
	copy(probe[38:], []byte{10, 239, 0, 50}) // target IP
	answer := make([]byte, responder.MaxReplyLen)
	verdict := r.Decide(responder.Ingress{Port: "vnet0"}, probe, answer)
	fmt.Println(verdict.Reason)
	fmt.Println(responder.Describe(answer[:verdict.Len]))
	// Output:
	// unallocated-probe
	// ARP, Reply 10.239.0.50 is-at 02:aa:aa:aa:aa:aa, length 46
}

func ExampleDescribe() {
	fmt.Println(responder.Describe(whoHasGateway))
	// Output: ARP, Request who-has 10.239.0.1 tell 10.239.0.101, length 28
}
