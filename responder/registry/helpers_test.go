package registry_test

import (
	"net/netip"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// comparable makes cmp compare the opaque parts of bindings by ==.
var comparable = cmpopts.EquateComparable(netip.Addr{}, registry.Prefixes{}, registry.MACs{})

var mac, bind = registrytest.MAC, registrytest.Bind

// alone returns a binding of a MAC alone.
func alone(owner string) registry.Binding { return registry.Binding{MAC: mac(owner)} }

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }
