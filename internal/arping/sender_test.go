package arping

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

// card returns an interface that is up and has these addresses.
func card(name string, addrs ...string) nic {
	n := nic{Interface: net.Interface{Name: name, HardwareAddr: appMAC[:], Flags: net.FlagUp}}
	for _, a := range addrs {
		n.subnets = append(n.subnets, netip.MustParsePrefix(a))
	}
	return n
}

func TestSender(t *testing.T) {
	loopback := card("lo", "127.0.0.1/8")
	loopback.HardwareAddr = make([]byte, 6)
	loopback.Flags |= net.FlagLoopback
	tunnel := card("tun0", "10.8.0.1/24")
	tunnel.HardwareAddr = nil
	port := card("vnet1", "10.7.0.1/24")
	port.bridge = "br0"
	off := card("eth3", "10.6.0.1/24")
	off.Flags = 0
	nics := []nic{
		loopback, tunnel, port, off,
		card("eth0", "10.239.0.101/24", "10.239.1.101/24"),
		card("eth1", "10.5.0.1/24"), card("eth2", "10.5.0.2/16"),
		card("eth4"),
	}
	tests := []struct {
		address, name string
		probe         bool
		want          string
	}{
		{"10.239.0.102", "", false, "10.239.0.101 on eth0"},
		{"10.239.1.102", "", false, "10.239.1.101 on eth0"},
		{"10.239.0.102", "eth0", false, "10.239.0.101 on eth0"},
		{"10.239.0.102", "", true, "0.0.0.0 on eth0"},
		{"10.239.0.101", "", true, "0.0.0.0 on eth0"},
		{"192.0.2.1", "eth0", true, "0.0.0.0 on eth0"},
		{"10.5.0.9", "eth2", false, "10.5.0.2 on eth2"},
		{"10.5.1.9", "", false, "10.5.0.2 on eth2"},

		{"10.5.0.9", "", false, "10.5.0.9 is in the subnets of eth1 and eth2; choose one with --interface"},
		{"192.0.2.1", "", true, "no interface has a subnet with 192.0.2.1; choose one with --interface"},
		{"10.239.0.102", "eth7", false, "there is no interface eth7; `ip link` lists the interfaces"},
		{"192.0.2.1", "eth0", false, "eth0 has no address in the same subnet as 192.0.2.1, " +
			"only 10.239.0.101/24 and 10.239.1.101/24; use --probe, which needs none"},
		{"10.239.0.101", "", false, "10.239.0.101 is the address of eth0 itself, and a request for it would announce it; use --probe"},
		{"127.0.0.2", "", false, "lo is not an Ethernet interface, so it has no ARP"},
		{"10.8.0.2", "", false, "tun0 is not an Ethernet interface, so it has no ARP"},
		{"10.7.0.2", "", false, "vnet1 is a member of the bridge br0, which takes all its frames; use the bridge, or run inside a guest"},
		{"10.6.0.2", "", false, "eth3 is down; set it up first: ip link set eth3 up"},
		{"10.6.0.2", "eth4", true, "eth4 has no IPv4 address; add one first, or use another interface"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.address, " ", tt.name, " ", tt.probe), func(t *testing.T) {
			s, err := chooseSender(nics, Query{Address: netip.MustParseAddr(tt.address), Interface: tt.name, Probe: tt.probe})
			got := fmt.Sprintf("%s on %s", s.ip, s.nic.Name)
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("%q\nwant %q", got, tt.want)
			}
			if err == nil && s.mac != appMAC {
				t.Errorf("its MAC is %s", s.mac)
			}
		})
	}
}

func TestQuery(t *testing.T) {
	good := Query{Count: 1, Timeout: 1}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	bad := Query{Interval: -time.Second}
	want := "--count is 0; it must be at least 1\n--interval is -1s; it can't be negative\n--timeout is 0s; it must be positive"
	if err := bad.Check(); err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
	for _, text := range []string{"", "10.239.0.300", "10.239.0.1/24", "fe80::1", "::ffff:10.239.0.1", "db"} {
		if addr, err := ParseAddress(text); err == nil || err.Error() != fmt.Sprintf("%q is not an IPv4 address", text) {
			t.Errorf("%q: %s, %v", text, addr, err)
		}
	}
	if addr, err := ParseAddress("10.239.0.102"); err != nil || addr != dbIP {
		t.Errorf("%s, %v", addr, err)
	}
}
