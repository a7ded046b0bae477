package imports

import (
	"cmp"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/arpfabric/arpfabric/responder"
)

// A fact is something that files say about a network, and that has a flag.
type fact struct {
	flag, usual string
	longest     int
	of          func(network) string
}

var (
	networkName = fact{"network", "lab", longestNetwork, func(n network) string { return n.name }}
	bridgeName  = fact{"bridge", "br0", longestInterface, func(n network) string { return n.bridge }}
)

// setNetwork makes one network of what the files say of theirs, and of the options.
func (i *Import) setNetwork(networks []network, o Options) (err error) {
	if i.Network, err = i.pick(networkName, o.Network, networks); err != nil {
		return err
	}
	i.Bridge, err = i.pick(bridgeName, o.Bridge, networks)
	i.Subnet, i.Gateway = subnetAndGateway(networks)
	return err
}

// pick returns the name that is wanted, or else the one that the files have, or else the usual one. Hosts of
// different networks must not end up in one without somebody having said so.
func (i *Import) pick(f fact, wanted string, networks []network) (string, error) {
	if wanted != "" {
		return wanted, nil
	}
	var found network
	for _, n := range networks {
		switch name := f.of(n); {
		case name == "", name == f.of(found):
		case f.of(found) == "":
			found = n
		default:
			return "", fmt.Errorf("%s is of %s %s, and %s of %s: import one at a time, or say with --%s %s",
				found.Origin, f.flag, printable(f.of(found)), n.Origin, printable(name), f.flag, wayOut(found, n))
		}
	}
	name := f.of(found)
	if name != "" && !isPlain(name, f.longest) {
		i.LeftOut = append(i.LeftOut, LeftOut{Origin: found.Origin, What: f.flag + " " + printable(name), Expected: true,
			Why: fmt.Sprintf("arpfabric takes no such name: this will be %s, or say another with --%s", f.usual, f.flag)})
		name = ""
	}
	return cmp.Or(name, f.usual), nil
}

// wayOut returns what a flag does about two networks.
func wayOut(a, b network) string {
	if a.isOneOfFile && b.isOneOfFile {
		return "which to take"
	}
	return "what both are to be"
}

// subnetAndGateway returns the subnet of the networks, if there is one and no more, and the gateway in it.
func subnetAndGateway(networks []network) (subnet netip.Prefix, gateway netip.Addr) {
	for _, n := range networks {
		switch prefix := n.subnet.Masked(); {
		case !prefix.IsValid() || !prefix.Addr().Is4():
		case subnet.IsValid() && subnet != prefix:
			return netip.Prefix{}, netip.Addr{}
		default:
			subnet = prefix
			if n.gateway.IsValid() {
				gateway = n.gateway
			}
		}
	}
	return subnet, gateway
}

// settle sorts the bindings, takes each once, and leaves out those that do not go with the others.
func (i *Import) settle() {
	byAddress := func(a, b responder.Binding) int { return a.First.Compare(b.First) }
	slices.SortStableFunc(i.Bindings, byAddress)
	var settled []responder.Binding
	for group := range groups(i.Bindings) {
		switch b := group[0]; {
		case !i.fits(b.First):
			for _, b := range group {
				i.leave(b, "it is not an address of a host in the subnet %s", i.Subnet)
			}
		case len(owners(group)) > 1:
			i.leave(b, "two have it, so neither gets it: %s", strings.Join(owners(group), ", "))
		default:
			b.Name = firstName(group)
			settled = append(settled, b)
		}
	}
	i.Bindings = settled
	isGateway := func(b responder.Binding) bool { return b.First == i.Gateway }
	if !slices.ContainsFunc(settled, isGateway) {
		i.Gateway = netip.Addr{}
	}
}

func (i *Import) leave(b responder.Binding, why string, args ...any) {
	i.LeftOut = append(i.LeftOut, LeftOut{Origin: b.Origin, What: b.First.String(), Why: fmt.Sprintf(why, args...)})
}

// groups yields the bindings of each address, of bindings sorted by it.
func groups(bindings []responder.Binding) iter.Seq[[]responder.Binding] {
	return func(yield func([]responder.Binding) bool) {
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

// owners lists the different MACs in bindings, each with the first place that it is from.
func owners(bindings []responder.Binding) []string {
	var list []string
	var seen []responder.MAC
	for _, b := range bindings {
		if !slices.Contains(seen, b.MAC) {
			seen = append(seen, b.MAC)
			list = append(list, fmt.Sprintf("%s (%s)", b.MAC, b.Origin))
		}
	}
	return list
}

func firstName(bindings []responder.Binding) string {
	var name string
	for _, b := range bindings {
		name = cmp.Or(name, b.Name)
	}
	return name
}

// fits reports whether a host of the subnet can have an address: the lowest stands for the network, and the
// highest for all of its hosts, but in a /31 (RFC 3021) and a /32.
func (i *Import) fits(addr netip.Addr) bool {
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
