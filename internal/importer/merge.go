package importer

import (
	"cmp"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// mergeBindings sorts the bindings, removes duplicates, and leaves out addresses that conflict or are outside the
// subnet.
func (i *Import) mergeBindings() {
	byAddress := func(a, b registry.Binding) int { return a.First.Compare(b.First) }
	slices.SortStableFunc(i.Bindings, byAddress)
	var merged []registry.Binding
	for group := range groupByAddress(i.Bindings) {
		switch b := group[0]; {
		case !i.isHostAddress(b.First):
			for _, b := range group {
				i.leaveOut(b, "this is not a host's address in the subnet %s", i.Subnet)
			}
		case len(owners(group)) > 1:
			i.leaveOut(b, "more than one MAC has this address, so none gets it: %s", strings.Join(owners(group), ", "))
		default:
			b.Name = firstKnownName(group)
			merged = append(merged, b)
		}
	}
	i.Bindings = merged
	i.checkGateway()
}

// checkGateway reports a gateway without a binding. The guests of such a network reach nobody outside.
func (i *Import) checkGateway() {
	isGateway := func(b registry.Binding) bool { return b.First == i.Gateway }
	if !i.Gateway.IsValid() || slices.ContainsFunc(i.Bindings, isGateway) {
		return
	}
	i.LeftOut = append(i.LeftOut, LeftOut{Origin: i.gatewayOrigin, What: "gateway " + i.Gateway.String(), Expected: true,
		Why: "no file has its MAC; guests need a binding for their gateway, and `ip neigh` shows its MAC"})
	i.Gateway = netip.Addr{}
}

func (i *Import) leaveOut(b registry.Binding, why string, args ...any) {
	i.LeftOut = append(i.LeftOut, LeftOut{Origin: b.Origin, What: b.First.String(), Why: fmt.Sprintf(why, args...)})
}

// groupByAddress yields the bindings of each address. The bindings must be sorted by address.
func groupByAddress(bindings []registry.Binding) iter.Seq[[]registry.Binding] {
	return func(yield func([]registry.Binding) bool) {
		for len(bindings) > 0 {
			end := 1
			for end < len(bindings) && bindings[end].First == bindings[0].First {
				end++
			}
			if !yield(bindings[:end]) {
				return
			}
			bindings = bindings[end:]
		}
	}
}

// owners lists the distinct MACs in bindings, each with its first origin.
func owners(bindings []registry.Binding) []string {
	var list []string
	var seen []registry.MAC
	for _, b := range bindings {
		if !slices.Contains(seen, b.MAC) {
			seen = append(seen, b.MAC)
			list = append(list, fmt.Sprintf("%s (%s)", b.MAC, b.Origin))
		}
	}
	return list
}

func firstKnownName(bindings []registry.Binding) string {
	var name string
	for _, b := range bindings {
		name = cmp.Or(name, b.Name)
	}
	return name
}

// isHostAddress reports whether a host of the subnet can have an address. The lowest is the network's own and the
// highest is for broadcast, except in a /31 (RFC 3021) and a /32.
func (i *Import) isHostAddress(addr netip.Addr) bool {
	switch {
	case !i.Subnet.IsValid():
		return true
	case !i.Subnet.Contains(addr):
		return false
	case i.Subnet.Bits() >= 31:
		return true
	}
	return addr != i.Subnet.Addr() && i.Subnet.Contains(addr.Next())
}
