package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/store/etcd/etcdtest"
)

// The stage of hosts, here two. Each host is a network namespace with a fabric, a bridge, and guests, which are namespaces, too:
//
//	  a 10.239.0.101      b 10.239.0.102     c 10.239.0.103
//	   |                   |                  |
//	  vnet1               vnet2              vnet3
//	 br0, vx10           br0, vx10 ----------+
//	 host1, 192.0.2.1    host2, 192.0.2.2
//	   |                   |
//	 up1                 up2
//	under0, 192.0.2.254, etcd
type hostsStage struct {
	etcd  *etcdtest.Cluster
	hosts []*overlayHost
}

type overlayHost struct {
	t testing.TB
	*lab.Guest
	*lab.Capture
	*program
	client        *api.Client
	configuration string
}

const hostsConfiguration = `
networks:
  lab:
    attach: {bridge: br0}
    subnet: 10.239.0.0/20
    registry:
      10.239.0.101: "02:00:06:de:54:a8"
      10.239.0.102: "02:00:07:de:54:a8"
      10.239.0.103: "02:00:08:de:54:a8"
    overlay: {device: vx10, vni: 10, local: 192.0.2.%[1]d}
api: {socket: %[2]s/api.sock}
store: {folder: %[2]s, etcd: {endpoints: [%[3]s], host: %[4]s}}
`

// newHostsStage makes a stage with a number of hosts and of members of etcd.
func newHostsStage(t testing.TB, hosts, members int) *hostsStage {
	t.Helper()
	labtest.NeedProgram(t, "ip", "ping")
	t.Cleanup(func() { lab.DeleteLink("under0") })
	labtest.Must(t, lab.AddBridge("under0"))
	labtest.Must(t, labtest.AddAddress("under0", netip.MustParsePrefix("192.0.2.254/24")))
	s := &hostsStage{etcd: etcdtest.StartAt(t, members, "192.0.2.254")}
	for i := range hosts {
		s.hosts = append(s.hosts, s.addHost(t, i+1, fmt.Sprint("host", i+1)))
	}
	return s
}

// addHost adds host number n, which has a name in etcd.
func (s *hostsStage) addHost(t testing.TB, n int, name string) *overlayHost {
	t.Helper()
	inside, err := lab.AddGuest(lab.GuestConfig{
		Name: fmt.Sprint("host", n), Port: fmt.Sprint("up", n), Bridge: "under0", MAC: net.HardwareAddr{2, 0, 0, 0, 0, byte(n)},
		Addr: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), 24),
	})
	labtest.Must(t, err)
	t.Cleanup(func() { inside.Delete() })
	capture, err := inside.StartCapture()
	labtest.Must(t, err)
	t.Cleanup(func() { capture.Close() })
	h := &overlayHost{t: t, Guest: inside, Capture: capture}
	h.run("ip", "link", "add", "br0", "type", "bridge")
	h.run("ip", "link", "set", "br0", "up")
	folder := t.TempDir()
	h.client = api.NewClient(folder + "/api.sock")
	h.configuration = labtest.TempFile(t, "arpfabric.yaml", fmt.Sprintf(hostsConfiguration, n, folder, strings.Join(s.etcd.Endpoints(), ", "), name))
	return h
}

func (h *overlayHost) run(name string, args ...string) string {
	h.t.Helper()
	out, err := h.Run(context.Background(), name, args...)
	if err != nil {
		h.t.Fatalf("%s: %s %s: %v\n%s", h.Name, name, strings.Join(args, " "), err, out)
	}
	return out
}

// start starts the host's fabric.
func (h *overlayHost) start() {
	h.t.Helper()
	h.program = launch(h.t, h.Start, nil, "run", "--config", h.configuration)
	h.expectLog(h.t, "network attached")
}

// plug makes a guest number n, a namespace of this name, a guest of the host, behind port vnet<n>.
func (h *overlayHost) plug(name string, n int) {
	h.t.Helper()
	port := fmt.Sprint("vnet", n)
	h.run("ip", "link", "add", port, "mtu", "1450", "type", "veth", "peer", "name", "eth0", "mtu", "1450", "address",
		fmt.Sprintf("02:00:%02x:de:54:a8", 5+n), "netns", name)
	h.run("ip", "link", "set", port, "master", "br0", "up")
	h.run("ip", "-n", name, "address", "add", fmt.Sprintf("10.239.0.%d/24", 100+n), "dev", "eth0")
	h.expectLog(h.t, "msg=\"port attached\" network=lab port="+port) // not every kernel guards it before
	h.run("ip", "-n", name, "link", "set", "eth0", "up")
}

// addNamespace makes the namespace of a guest, until the test ends.
func addNamespace(t *testing.T, h *overlayHost, name string) {
	t.Helper()
	h.run("ip", "netns", "add", name)
	t.Cleanup(func() { _, _ = h.Run(context.Background(), "ip", "netns", "del", name) })
}

// expectPing expects a guest to reach an address.
func (h *overlayHost) expectPing(name, addr string) {
	h.t.Helper()
	labtest.Eventually(h.t, name+" reaches "+addr, func() bool {
		_, err := h.Run(context.Background(), "ip", "netns", "exec", name, "ping", "-c", "1", "-W", "1", addr)
		return err == nil
	})
}

// expectLocation expects the host to know the MAC of guest number n behind a port.
func (h *overlayHost) expectLocation(n int, port string) {
	h.t.Helper()
	mac := fmt.Sprintf("02:00:%02x:de:54:a8", 5+n)
	labtest.Eventually(h.t, fmt.Sprintf("%s has %s behind %s", h.Name, mac, port), func() bool {
		for line := range strings.Lines(h.run("bridge", "fdb", "show", "br", "br0")) {
			if strings.HasPrefix(line, mac+" dev "+port+" ") {
				return true
			}
		}
		return false
	})
}

// tunnelled returns the frames that came to the host in the tunnel, and how many of them are for a group.
func (h *overlayHost) tunnelled() (all, group int) {
	const udp, vxlan, header = 17, 4789, 14 + 20 + 8 + 8
	for _, seen := range h.Frames() {
		f := seen.Frame
		if len(f) < header+14 || f[23] != udp || binary.BigEndian.Uint16(f[36:]) != vxlan {
			continue
		}
		all++
		if f[header]&1 != 0 {
			group++
		}
	}
	return all, group
}

// TestTwoHosts sends traffic between guests of two hosts, moves a guest, kills a fabric, and expects no broadcast in the
// tunnel.
func TestTwoHosts(t *testing.T) {
	s := newHostsStage(t, 2, 1)
	one, two := s.hosts[0], s.hosts[1]
	one.start()
	two.start()
	for _, name := range []string{"a", "b", "c"} {
		addNamespace(t, one, name)
	}
	one.plug("a", 1)
	two.plug("b", 2)
	two.plug("c", 3)
	two.expectPing("b", "10.239.0.103") // a host knows a guest from its first frame on
	one.expectPing("a", "10.239.0.102")
	two.expectPing("c", "10.239.0.101")
	one.expectLocation(2, "vx10")
	if out := one.run("bridge", "fdb", "show", "dev", "vx10"); !strings.Contains(out, "02:00:07:de:54:a8 dst 192.0.2.2 self permanent") {
		t.Errorf("the tunnels of host1:\n%s", out)
	}
	if strings.Contains(one.output.String()+two.output.String(), "level=ERROR") {
		t.Errorf("log:\n%s\n%s", &one.output, &two.output)
	}

	t.Run("migrate", func(t *testing.T) {
		two.run("ip", "link", "del", "vnet2")
		one.plug("b", 2)
		one.expectPing("b", "10.239.0.103") // its first frame
		two.expectLocation(2, "vx10")
		two.expectPing("c", "10.239.0.102")
		one.expectPing("a", "10.239.0.102")
		one.expectLocation(2, "vnet2")
	})
	t.Run("without the tunnel", func(t *testing.T) {
		two.run("ip", "route", "add", "blackhole", "192.0.2.1")
		one.run("ip", "route", "add", "blackhole", "192.0.2.2")
		if _, err := two.Run(t.Context(), "ip", "netns", "exec", "c", "ping", "-c", "1", "-W", "1", "10.239.0.101"); err == nil {
			t.Error("the tunnel is not cut")
		}
		one.expectPing("a", "10.239.0.102") // of the same host
		two.expectLocation(1, "vx10")       // the hosts know it by etcd
		one.expectLocation(3, "vx10")
		two.run("ip", "route", "del", "blackhole", "192.0.2.1")
		one.run("ip", "route", "del", "blackhole", "192.0.2.2")
		two.expectPing("c", "10.239.0.101")
	})
	t.Run("without etcd", func(t *testing.T) {
		s.etcd.KillAll()
		two.expectPing("c", "10.239.0.101")
		labtest.Must(t, one.Process.Kill())
		<-one.ended
		two.expectPing("c", "10.239.0.101") // the guard and the tunnels stay
		one.start()
		one.expectLog(t, "etcd cannot be used")
		two.expectPing("c", "10.239.0.101")
		s.etcd.Restart(0)
		one.expectLog(t, "etcd is reached")
		two.expectPing("c", "10.239.0.102")
	})
	for _, h := range s.hosts {
		if all, group := h.tunnelled(); all == 0 || group > 0 {
			t.Errorf("%s got %d frames by the tunnel, %d of them for a group", h.Name, all, group)
		}
	}
}
