package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// NextHop is the way by which the host sends packets to an address.
type NextHop struct {
	Index int        // ifindex of the interface
	Addr  netip.Addr // the router; the zero Addr if there is none
}

// NextHopTo returns the next hop to an IPv4 address. It returns false if the host has no route. It sends nothing.
func NextHopTo(addr netip.Addr) (NextHop, bool, error) {
	routes, err := netlink.RouteGet(addr.AsSlice())
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EACCES), errors.Is(err, unix.EINVAL):
		return NextHop{}, false, nil // none, or one that says unreachable, prohibit or blackhole
	case err != nil:
		return NextHop{}, false, fmt.Errorf("asking for the route to %s over netlink: %w", addr, err)
	case len(routes) == 0:
		return NextHop{}, false, nil
	}
	hop := NextHop{Index: routes[0].LinkIndex}
	hop.Addr, _ = netip.AddrFromSlice(routes[0].Gw.To4())
	return hop, true, nil
}

// NeighborMAC returns the MAC that the host's neighbour table has for an address, if it has one.
func NeighborMAC(hop NextHop) (net.HardwareAddr, bool, error) {
	if !hop.Addr.IsValid() {
		return nil, false, nil
	}
	request := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, 0)
	request.AddData(&netlink.Ndmsg{Family: unix.AF_INET, Index: uint32(hop.Index)})
	request.AddData(nl.NewRtAttr(unix.NDA_DST, hop.Addr.AsSlice()))
	n, err := getNeighbor(request)
	if err != nil || n == nil || len(n.HardwareAddr) == 0 {
		return nil, false, err
	}
	return n.HardwareAddr, true, nil
}

// PortOf returns the ifindex of the member behind which a bridge's forwarding database has a MAC, in a VLAN or, if that
// is 0, without one.
func PortOf(mac net.HardwareAddr, bridge Link, vlan uint16) (port int, ok bool, err error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, 0)
	request.AddData(&netlink.Ndmsg{Family: unix.AF_BRIDGE})
	request.AddData(nl.NewRtAttr(unix.NDA_MASTER, nl.Uint32Attr(uint32(bridge.Index))))
	request.AddData(nl.NewRtAttr(unix.NDA_LLADDR, mac))
	if vlan != 0 {
		request.AddData(nl.NewRtAttr(unix.NDA_VLAN, nl.Uint16Attr(vlan)))
	}
	n, err := getNeighbor(request)
	if err != nil || n == nil {
		return 0, false, err
	}
	return n.LinkIndex, true, nil
}

// getNeighbor returns the one entry that a request asks for, or nil if there is none.
func getNeighbor(request *nl.NetlinkRequest) (*netlink.Neigh, error) {
	answers, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), err == nil && len(answers) == 0:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("asking for a neighbour over netlink: %w", err)
	}
	return netlink.NeighDeserialize(answers[0])
}
