package config_test

import (
	"errors"
	"fmt"
	"log"
	"net/netip"

	"github.com/arpfabric/arpfabric/config"
)

// A loaded configuration includes its registries.
func ExampleLoad() {
	c, err := config.Load("../examples/hypervisor.yaml")
	if err != nil {
		log.Fatal(err)
	}
	for i := range c.Networks {
		fmt.Println(c.Networks[i].Summary())
	}
	for _, addr := range []string{"10.239.0.129", "10.239.0.130"} {
		binding, _ := c.Networks[0].Registry.Lookup(netip.MustParseAddr(addr))
		fmt.Println(addr, "is", binding.Name, "at", binding.MAC)
	}
	// Output:
	// production: vpc on bridge br0 (uplink eth1), 5 bindings, guard full
	// 10.239.0.129 is balancer at 02:00:08:de:54:a8
	// 10.239.0.130 is canary at 02:00:09:de:54:a8
}

// All mistakes in a configuration are reported at once, each with its place.
func ExampleLoad_problems() {
	_, err := config.Load("testdata/problems/misspelled/lab.yaml")
	var problems config.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			fmt.Printf("line %d, %s: %s\n", p.Line, p.Path, p.Message)
		}
	}
	// Output:
	// line 4, networks.lab.atach: unknown key; did you mean attach?
	// line 5, networks.lab.registri: unknown key; did you mean registry?
	// line 7, networks.other.attach.brigde: unknown key; did you mean bridge?
	// line 9, networks.other.registry.10.239.0.1.mca: unknown key; did you mean mac?
}
