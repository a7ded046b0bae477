package responder_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/arpfabric/arpfabric/responder"
)

// Two hosts and a range of addresses that one host, a load balancer, answers for.
func bindings() []responder.Binding {
	address := func(s, mac string) responder.Binding {
		owner, err := responder.ParseMAC(mac)
		if err != nil {
			panic(err)
		}
		first, last := netip.MustParseAddr(s), netip.MustParseAddr(s)
		return responder.Binding{First: first, Last: last, MAC: owner}
	}
	pool := address("10.239.0.128", "02:00:0a:de:54:a8")
	pool.Last = netip.MustParseAddr("10.239.0.191")
	return []responder.Binding{
		address("10.239.0.1", "02:00:00:de:54:a8"),
		address("10.239.0.101", "02:00:06:de:54:a8"),
		pool,
	}
}

// A request that a guest broadcast to find its gateway, as it comes from a packet socket or a TAP.
var whoHasGateway = []byte{
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // to everybody
	0x02, 0x00, 0x06, 0xde, 0x54, 0xa8, // from the guest
	0x08, 0x06, // ARP
	0, 1, 0x08, 0x00, 6, 4, 0, 1, // Ethernet, IPv4, request
	0x02, 0x00, 0x06, 0xde, 0x54, 0xa8, 10, 239, 0, 101, // sender
	0, 0, 0, 0, 0, 0, 10, 239, 0, 1, // target
}

// A program that reads frames from guests and writes answers back needs a registry, a responder, and a buffer
// for the answer.
func Example() {
	registry, err := responder.NewRegistry(slices.Values(bindings()))
	if err != nil {
		fmt.Println(err)
		return
	}
	r := responder.New(registry, responder.Policy{})

	answer := make([]byte, responder.MaxReplyLen)
	verdict := r.Handle(responder.In{Port: "vnet0"}, whoHasGateway, answer)

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

// What doesn't get an answer has a reason, here that the sender is on a port that isn't its own.
func ExampleResponder_Handle_drop() {
	tied := bindings()
	tied[1].Port = "vnet3"
	registry, err := responder.NewRegistry(slices.Values(tied))
	if err != nil {
		fmt.Println(err)
		return
	}
	r := responder.New(registry, responder.Policy{})
	verdict := r.Handle(responder.In{Port: "vnet0"}, whoHasGateway, make([]byte, responder.MaxReplyLen))
	fmt.Println(verdict.Action, verdict.Reason)
	// Output: drop spoofed-sender
}

// A network whose guests give themselves addresses can take every sender as it is, and tell clients that
// probe for an address without a binding that it is taken.
func ExamplePolicy() {
	registry, err := responder.NewRegistry(slices.Values(bindings()))
	if err != nil {
		fmt.Println(err)
		return
	}
	policy := responder.Policy{
		AnySender: true,
		DenyMAC:   responder.MAC{0x02, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa},
	}
	r := responder.New(registry, policy)

	probe := slices.Clone(whoHasGateway)
	copy(probe[28:], []byte{0, 0, 0, 0})     // sender IP
	copy(probe[38:], []byte{10, 239, 0, 50}) // target IP
	answer := make([]byte, responder.MaxReplyLen)
	verdict := r.Handle(responder.In{Port: "vnet0"}, probe, answer)
	fmt.Println(verdict.Reason)
	fmt.Println(responder.Describe(answer[:verdict.Len]))
	// Output:
	// unallocated-probe
	// ARP, Reply 10.239.0.50 is-at 02:aa:aa:aa:aa:aa, length 46
}

// All that is wrong with the bindings is reported at once, each with the place it was read from.
func ExampleNewRegistry() {
	mac := responder.MAC{0x02, 0, 0x06, 0xde, 0x54, 0xa8}
	at := func(line int, s string) responder.Binding {
		addr := netip.MustParseAddr(s)
		return responder.Binding{
			First: addr, Last: addr, MAC: mac, Origin: responder.Origin{File: "ethers", Line: line},
		}
	}
	_, err := responder.NewRegistry(slices.Values([]responder.Binding{
		at(1, "10.239.0.101"),
		at(2, "127.0.0.1"),
		at(3, "10.239.0.101"),
	}))
	var problems responder.BindingErrors
	if errors.As(err, &problems) {
		for _, problem := range problems {
			fmt.Println(problem)
		}
	}
	// Output:
	// ethers:2: 127.0.0.1 is-at 02:00:06:de:54:a8: 127.0.0.1 is in 127.0.0.0/8, the loopback network
	// ethers:3: 10.239.0.101 is-at 02:00:06:de:54:a8: the address is bound twice (see ethers:1)
}

func ExampleRegistry_Lookup() {
	registry, err := responder.NewRegistry(slices.Values(bindings()))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range []string{"10.239.0.101", "10.239.0.150", "10.239.0.50"} {
		binding, ok := registry.Lookup(netip.MustParseAddr(s))
		if !ok {
			fmt.Println(s, "does not exist")
			continue
		}
		fmt.Println(s, "belongs to", binding.MAC)
	}
	// Output:
	// 10.239.0.101 belongs to 02:00:06:de:54:a8
	// 10.239.0.150 belongs to 02:00:0a:de:54:a8
	// 10.239.0.50 does not exist
}

func ExampleDescribe() {
	fmt.Println(responder.Describe(whoHasGateway))
	// Output: ARP, Request who-has 10.239.0.1 tell 10.239.0.101, length 28
}
