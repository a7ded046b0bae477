package link

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// VXLANOverhead is the number of bytes that VXLAN over IPv4 adds to a frame's payload: IPv4, UDP, VXLAN and Ethernet headers.
const VXLANOverhead = 20 + 8 + 8 + 14

// VXLANPort is the UDP port of VXLAN (RFC 7348, 5).
const VXLANPort = 4789

// VXLAN is a VXLAN device.
type VXLAN struct {
	Name   string
	VNI    int
	Local  netip.Addr // from which its packets are sent; the zero Addr for any
	Learns bool       // it learns from packets behind which host a MAC is
}

// AddVXLAN makes a device that learns nothing, with room for frames in packets of a size, and makes it a member of a bridge.
func AddVXLAN(v VXLAN, bridge string, packet int) error {
	b, err := netlink.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("%s: %w", bridge, err)
	}
	device := &netlink.Vxlan{
		LinkAttrs: netlink.LinkAttrs{Name: v.Name, MTU: packet - VXLANOverhead}, VxlanId: v.VNI, SrcAddr: v.Local.AsSlice(), Port: VXLANPort,
	}
	if err := netlink.LinkAdd(device); err != nil {
		return fmt.Errorf("adding the VXLAN device %s: %w", v.Name, err)
	}
	mac := device.HardwareAddr
	if made, err := netlink.LinkByName(v.Name); err == nil {
		mac = made.Attrs().HardwareAddr
	}
	mac[0] = highestUnicast // so that the bridge keeps its MAC
	if err := netlink.LinkSetHardwareAddr(device, mac); err != nil {
		return fmt.Errorf("setting the MAC of %s: %w", v.Name, err)
	}
	if err := netlink.LinkSetMaster(device, b); err != nil {
		return fmt.Errorf("adding %s to the bridge %s: %w", v.Name, bridge, err)
	}
	// The device is down until now, so that the bridge floods nothing into the tunnel.
	if err := Isolate(Link{Name: v.Name, Index: device.Index}); err != nil {
		return err
	}
	return Up(v.Name)
}

// FindVXLAN returns the VXLAN device of a name. It returns false if there is none.
func FindVXLAN(name string) (v VXLAN, ok bool) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return v, false
	}
	device, ok := l.(*netlink.Vxlan)
	if !ok {
		return v, false
	}
	local, _ := netip.AddrFromSlice(device.SrcAddr)
	return VXLAN{name, device.VxlanId, local.Unmap(), device.Learning}, true
}

// The attributes of a member of a bridge (linux/if_link.h) that keep it from learning and from flooding.
var isolating = []uint16{nl.IFLA_BRPORT_LEARNING, nl.IFLA_BRPORT_UNICAST_FLOOD, 27 /* MCAST_FLOOD */, 30 /* BCAST_FLOOD */}

// Isolate keeps a bridge from learning MACs behind a member, and from flooding anything to it: unknown unicast, multicast and
// broadcast.
func Isolate(member Link) error {
	request := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	message := nl.NewIfInfomsg(unix.AF_BRIDGE)
	message.Index = int32(member.Index)
	request.AddData(message)
	settings := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
	for _, kind := range isolating {
		settings.AddRtAttr(int(kind), []byte{0})
	}
	request.AddData(settings)
	if _, err := request.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf("turning learning and flooding off on %s: %w", member.Name, err)
	}
	return nil
}

// ReadTunnels returns the hosts to which a VXLAN device sends the frames for a MAC.
func ReadTunnels(device Link) (map[MAC]netip.Addr, error) {
	list, err := netlink.NeighList(device.Index, unix.AF_BRIDGE)
	for errors.Is(err, netlink.ErrDumpInterrupted) {
		list, err = netlink.NeighList(device.Index, unix.AF_BRIDGE)
	}
	if err != nil {
		return nil, fmt.Errorf("listing the FDB of %s over netlink: %w", device.Name, err)
	}
	tunnels := map[MAC]netip.Addr{}
	for _, n := range list {
		if to, ok := netip.AddrFromSlice(n.IP); ok && n.LinkIndex == device.Index && len(n.HardwareAddr) == len(MAC{}) {
			tunnels[MAC(n.HardwareAddr)] = to.Unmap()
		}
	}
	return tunnels, nil
}

// SetTunnel makes a VXLAN device send the frames for a MAC to a host.
func SetTunnel(device Link, mac MAC, to netip.Addr) error {
	if err := netlink.NeighSet(tunnel(device, mac, to)); err != nil {
		return fmt.Errorf("sending frames for %x by %s to %s: %w", mac, device.Name, to, err)
	}
	return nil
}

// DeleteTunnel undoes SetTunnel. It is no error if there is no such entry.
func DeleteTunnel(device Link, mac MAC, to netip.Addr) error {
	if err := netlink.NeighDel(tunnel(device, mac, to)); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("sending no more frames for %x by %s to %s: %w", mac, device.Name, to, err)
	}
	return nil
}

func tunnel(device Link, mac MAC, to netip.Addr) *netlink.Neigh {
	return &netlink.Neigh{
		LinkIndex: device.Index, Family: unix.AF_BRIDGE, Flags: unix.NTF_SELF, State: unix.NUD_PERMANENT | unix.NUD_NOARP,
		HardwareAddr: mac[:], IP: to.AsSlice(),
	}
}

// WithAddress returns the interface that has an address, and its MTU.
func WithAddress(addr netip.Addr) (name string, mtu int, ok bool) {
	list, err := netlink.AddrList(nil, unix.AF_INET)
	if err != nil {
		return "", 0, false
	}
	for _, a := range list {
		if at, _ := netip.AddrFromSlice(a.IP); at.Unmap() == addr {
			l, err := netlink.LinkByIndex(a.LinkIndex)
			if err != nil {
				return "", 0, false
			}
			return l.Attrs().Name, l.Attrs().MTU, true
		}
	}
	return "", 0, false
}
