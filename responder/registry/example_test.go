package registry_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// bindings returns those of a gateway and a guest, and of a range.
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

// All errors are reported at once, each with the place that the binding was read from.
func ExampleNew() {
	mac := registry.MAC{0x02, 0, 0x06, 0xde, 0x54, 0xa8}
	at := func(line int, s string) registry.Binding {
		addr := netip.MustParseAddr(s)
		return registry.Binding{
			First: addr, Last: addr, MAC: mac, Origin: registry.Origin{Source: "ethers", Line: line},
		}
	}
	_, err := registry.New(slices.Values([]registry.Binding{
		at(1, "10.239.0.101"),
		at(2, "127.0.0.1"),
		at(3, "10.239.0.101"),
	}))
	var problems registry.BindingErrors
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
	known, err := registry.New(slices.Values(bindings()))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range []string{"10.239.0.101", "10.239.0.150", "10.239.0.50"} {
		binding, ok := known.Lookup(netip.MustParseAddr(s))
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
