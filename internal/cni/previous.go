package cni

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"
	"github.com/vishvananda/netlink"
)

// previous is what the plugins before have connected.
type previous struct {
	result *current.Result
	index  int // of the container's interface in the result

	mac   registry.MAC // of the container
	port  string       // its port on the bridge; "" if it has none, as a macvlan
	addrs []netip.Addr // its IPv4 addresses
	hosts []host       // the host's own interfaces that are gateways of the container
}

// A host is an interface of the host with a gateway's address.
type host struct {
	addr netip.Addr
	mac  registry.MAC
}

// previous reads the result of the plugins before.
func (p *plugin) previous() (*previous, error) {
	if err := version.ParsePrevResult(&p.PluginConf); err != nil {
		return nil, types.NewError(types.ErrDecodingFailure, "reading prevResult", err.Error())
	}
	if p.PrevResult == nil {
		return nil, types.NewError(types.ErrInvalidNetworkConfig, "there is no prevResult",
			"list arpfabric behind the plugin that connects containers, such as bridge")
	}
	result, err := current.NewResultFromResult(p.PrevResult)
	if err != nil {
		return nil, types.NewError(types.ErrDecodingFailure, "reading prevResult", err.Error())
	}
	prev := &previous{result: result}
	prev.index = slices.IndexFunc(result.Interfaces, func(i *current.Interface) bool {
		return i.Name == p.args.IfName && i.Sandbox != ""
	})
	if prev.index < 0 {
		return nil, types.NewError(types.ErrInvalidNetworkConfig, "prevResult has no interface "+p.args.IfName+" of the container", "")
	}
	if prev.mac, err = registry.ParseMAC(result.Interfaces[prev.index].Mac); err != nil {
		return nil, types.NewError(types.ErrInvalidNetworkConfig, "prevResult has no valid MAC of "+p.args.IfName, err.Error())
	}
	prev.readAddresses()
	if err := prev.readHost(); err != nil {
		return nil, types.NewError(types.ErrInternal, "reading the interfaces of the host", err.Error())
	}
	return prev, nil
}

// readAddresses reads the addresses of the container. The fabric has no bindings for IPv6.
func (prev *previous) readAddresses() {
	for _, ip := range prev.result.IPs {
		addr, _ := netip.AddrFromSlice(ip.Address.IP)
		if isOther := ip.Interface != nil && *ip.Interface != prev.index; !isOther && addr.Unmap().Is4() {
			prev.addrs = append(prev.addrs, addr.Unmap())
		}
	}
}

// readHost finds the container's port and its gateways among the interfaces of the host.
func (prev *previous) readHost() error {
	for _, i := range prev.result.Interfaces {
		if i.Sandbox != "" {
			continue
		}
		link, err := netlink.LinkByName(i.Name)
		if err != nil {
			return fmt.Errorf("%s: %w", i.Name, err)
		}
		if link.Attrs().MasterIndex != 0 {
			prev.port = i.Name
			continue
		}
		if err := prev.readGateways(link); err != nil {
			return fmt.Errorf("%s: %w", i.Name, err)
		}
	}
	return nil
}

// readGateways finds the gateways that are addresses of an interface of the host.
func (prev *previous) readGateways(link netlink.Link) error {
	addrs, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		isGateway := slices.ContainsFunc(prev.result.IPs, func(ip *current.IPConfig) bool { return a.IP.Equal(ip.Gateway) })
		if addr, ok := netip.AddrFromSlice(a.IP.To4()); ok && isGateway {
			prev.hosts = append(prev.hosts, host{addr, registry.MAC(link.Attrs().HardwareAddr)})
		}
	}
	return nil
}

// differs says how a binding differs from the container, or returns "".
func (prev *previous) differs(b api.NetworkBinding) string {
	switch {
	case b.NotInForce != "":
		return "the allocation is not in force: " + b.NotInForce
	case b.MAC != prev.mac.String():
		return fmt.Sprintf("it has the MAC %s, and the container %s", b.MAC, prev.mac)
	case b.Port != "" && b.Port != prev.port:
		return fmt.Sprintf("it has the port %s, and the container %q", b.Port, prev.port)
	}
	return ""
}

// add adds an address that the container has got here.
func (prev *previous) add(addr netip.Prefix, gateway netip.Addr) {
	ip := &current.IPConfig{
		Interface: current.Int(prev.index),
		Address:   net.IPNet{IP: addr.Addr().AsSlice(), Mask: net.CIDRMask(addr.Bits(), addr.Addr().BitLen())},
	}
	if gateway.IsValid() {
		ip.Gateway = gateway.AsSlice()
		prev.result.Routes = append(prev.result.Routes, &types.Route{Dst: defaultRoute, GW: ip.Gateway})
	}
	prev.result.IPs = append(prev.result.IPs, ip)
}

var defaultRoute = net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}
