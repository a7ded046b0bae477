package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestOverruns, with the datapath of which the program reads all requests, stops the program until the kernel drops frames and messages about interfaces. When it continues, it
// must answer again and know a port that was added meanwhile. Until then the guard must hold.
func TestOverruns(t *testing.T) {
	s := newStage(t)
	p := startRun(t, onBridge("      10.239.0.103: \"02:00:08:de:54:a8\"\n    policy: {rate_limit: off}\ndatapath: user\n"))
	s.app.expectAnswered(t)
	before := s.db.heard()
	labtest.Must(t, p.Process.Signal(unix.SIGSTOP))

	late := addGuest(t, 3, "late")
	port, err := netlink.LinkByName(s.db.Port)
	labtest.Must(t, err)
	labtest.Eventually(t, "messages about interfaces are lost", func() bool {
		for range 1000 {
			labtest.Must(t, netlink.LinkSetAlias(port, "again"))
		}
		return p.lost(t, unix.NETLINK_ROUTE) > 0
	})
	request := s.app.request("10.239.0.102")
	labtest.Eventually(t, "frames are lost", func() bool {
		for range 1000 {
			s.app.Send(request)
		}
		return p.lost(t, unix.NETLINK_NETFILTER) > 0
	})

	labtest.Must(t, p.Process.Signal(unix.SIGCONT))
	s.app.expectAnswered(t)
	late.expectAnswered(t)
	if n := s.db.heard(); n > before {
		t.Errorf("db heard %d ARP frames", n-before)
	}
}

// lost returns the number of messages of a netlink protocol that the kernel has dropped for the program
// (/proc/net/netlink, the columns Eth and Drops).
func (p *program) lost(t *testing.T, protocol int) int {
	t.Helper()
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/netlink", p.Process.Pid))
	labtest.Must(t, err)
	lost := 0
	for line := range strings.Lines(string(table)) {
		columns := strings.Fields(line)
		if columns[1] == strconv.Itoa(protocol) {
			n, err := strconv.Atoi(columns[8])
			labtest.Must(t, err)
			lost += n
		}
	}
	return lost
}
