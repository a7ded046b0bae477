package importer

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// A nameOption is a flag that selects a network by a name in the files, or else names the only one.
type nameOption struct {
	flag, fallback string
	longest        int
	get            func(*network) string
}

var (
	networkOption = nameOption{"network", "lab", longestNetwork, func(n *network) string { return n.name }}
	bridgeOption  = nameOption{"bridge", "br0", longestInterface, func(n *network) string { return n.bridge }}
)

// setNetwork selects networks of the files by the options, and sets the properties of the result from both.
func (i *Import) setNetwork(networks []*network, o Options) (err error) {
	networks = i.selectNetworks(networkOption, o.Network, networks)
	networks = i.selectNetworks(bridgeOption, o.Bridge, networks)
	if networks, err = i.selectVLAN(o, networks); err != nil {
		return err
	}
	for _, n := range networks {
		for _, host := range n.hosts {
			i.Bindings = append(i.Bindings, host.Binding)
		}
		i.guests = append(i.guests, n.guests...)
		i.routes = append(i.routes, n.routes...)
	}
	if i.Network, err = i.chooseName(networkOption, o.Network, networks); err != nil {
		return err
	}
	i.Bridge, err = i.chooseName(bridgeOption, o.Bridge, networks)
	i.setSubnet(networks)
	if err == nil {
		err = i.setVLAN(networks)
	}
	return err
}

// setVLAN sets the VLAN of the networks on a bridge. It is an error if they disagree.
func (i *Import) setVLAN(networks []*network) error {
	networks = slices.DeleteFunc(slices.Clone(networks), func(n *network) bool { return n.bridge == "" })
	for _, n := range networks {
		if n.vlan != networks[0].vlan {
			return fmt.Errorf("%s has VLAN %d of its bridge, and %s has %d (0 is none): select one with --vlan",
				networks[0].Origin, networks[0].vlan, n.Origin, n.vlan)
		}
		i.VLAN = n.vlan
	}
	return nil
}

// selectVLAN returns the networks in the VLAN of their bridges that the options select, and reports the others. A network
// without a bridge has no VLAN.
func (i *Import) selectVLAN(o Options, networks []*network) ([]*network, error) {
	vlan, err := o.vlan()
	if err != nil || vlan < 0 {
		return networks, err
	}
	isOther := func(n *network) bool { return n.bridge != "" && n.vlan != vlan }
	if !slices.ContainsFunc(networks, func(n *network) bool { return n.bridge != "" && n.vlan == vlan }) {
		return nil, fmt.Errorf("--vlan %d: no file has this VLAN of a bridge", vlan)
	}
	for _, n := range networks {
		if isOther(n) {
			i.leaveOutNetwork(n, fmt.Sprintf("VLAN %d", n.vlan), fmt.Sprintf("VLAN %d", vlan), "vlan")
		}
	}
	return slices.DeleteFunc(slices.Clone(networks), isOther), nil
}

// leaveOutNetwork reports a network that a flag does not select.
func (i *Import) leaveOutNetwork(n *network, part, option, flag string) {
	i.forget(n)
	i.LeftOut = append(i.LeftOut, LeftOut{Origin: n.Origin, What: describe(n.describe(), part), Expected: true,
		Why: fmt.Sprintf("not %s, which --%s selects (hosts left out: %d)", option, flag, len(n.hosts))})
}

// selectNetworks returns the networks that an option selects, and reports the others. An option that is no network's
// name selects all of them.
func (i *Import) selectNetworks(f nameOption, option string, networks []*network) []*network {
	if option == "" || !slices.ContainsFunc(networks, func(n *network) bool { return f.get(n) == option }) {
		return networks
	}
	var selected []*network
	for _, n := range networks {
		if f.selects(n, option) {
			selected = append(selected, n)
			continue
		}
		i.leaveOutNetwork(n, "", option, f.flag)
	}
	return selected
}

// selects reports whether an option selects a network, or does not concern it. A bridge concerns every network with a
// name, because one without a bridge is another network too.
func (f nameOption) selects(n *network, option string) bool {
	if f.flag == bridgeOption.flag && n.name != "" {
		return n.bridge == option
	}
	return f.get(n) == option || f.get(n) == ""
}

func (n *network) describe() string {
	if n.name == "" {
		return describe("bridge", n.bridge)
	}
	return describe("network", n.name)
}

// forget removes what was left out of a network that is not selected.
func (i *Import) forget(n *network) {
	i.LeftOut = slices.DeleteFunc(i.LeftOut, func(l LeftOut) bool { return l.of == n })
}

// chooseName returns the option's value if it is set, or else the name in the files, or else the fallback. It is an
// error if the files disagree: hosts of different networks are merged only if the user asks for it, and never those of
// one file.
func (i *Import) chooseName(f nameOption, option string, networks []*network) (string, error) {
	found := &network{}
	for _, n := range networks {
		switch name := f.get(n); {
		case name == "", name == f.get(found):
		case f.get(found) == "":
			found = n
		case option == "" || found.Source == n.Source:
			return "", f.disagree(found, n, option)
		}
	}
	if option != "" {
		return option, nil
	}
	name := f.get(found)
	if name != "" && !isPlain(name, f.longest) {
		i.LeftOut = append(i.LeftOut, LeftOut{Origin: found.Origin, What: f.flag + " " + printable(name), Expected: true,
			Why: fmt.Sprintf("arpfabric does not allow this name and uses %s; choose another with --%s", f.fallback, f.flag)})
		name = ""
	}
	return cmp.Or(name, f.fallback), nil
}

// disagree returns the error that two networks have different names, of which the option is none.
func (f nameOption) disagree(a, b *network, option string) error {
	advice := "import one at a time, or use --" + f.flag + " to name both"
	switch {
	case option != "":
		advice = fmt.Sprintf("none is %s; select one with --%s", option, f.flag)
	case a.Source == b.Source && !a.isSelectable:
		advice = "select one with --" + f.flag
	case a.isSelectable && b.isSelectable:
		advice = "import one at a time, or use --" + f.flag + " to select one"
	}
	return fmt.Errorf("%s has %s %s, and %s has %s: %s",
		a.Origin, f.flag, printable(f.get(a)), b.Origin, printable(f.get(b)), advice)
}

// setSubnet sets the subnet of the networks and its gateway, if they have exactly one subnet.
func (i *Import) setSubnet(networks []*network) {
	for _, n := range networks {
		for _, s := range n.subnets {
			switch prefix := s.prefix.Masked(); {
			case !prefix.IsValid() || !prefix.Addr().Is4():
			case i.Subnet.IsValid() && i.Subnet != prefix:
				i.Subnet, i.Gateway = netip.Prefix{}, netip.Addr{}
				return
			default:
				i.Subnet = prefix
				if s.gateway.IsValid() {
					i.Gateway, i.gatewayOrigin = s.gateway, s.Origin
				}
			}
		}
	}
}
