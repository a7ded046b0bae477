package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestOverruns stops the program for so long that the kernel throws frames and news of interfaces away. Afterwards
// it answers again, and knows a port that has come meanwhile. Until then the guard holds.
func TestOverruns(t *testing.T) {
	s := newStage(t)
	p := startRun(t, onBridge("      10.239.0.103: \"02:00:08:de:54:a8\"\n    policy: {rate_limit: off}\n"))
	s.app.expectAnswered(t)
	before := s.db.heard()
	must(t, p.Process.Signal(unix.SIGSTOP))

	late := addGuest(t, 3, "late")
	port, err := netlink.LinkByName(s.db.Port)
	must(t, err)
	lab.Eventually(t, "news of interfaces are lost", func() bool {
		for range 1000 {
			must(t, netlink.LinkSetAlias(port, "again"))
		}
		return p.lost(t, unix.NETLINK_ROUTE) > 0
	})
	request := s.app.request("10.239.0.102")
	lab.Eventually(t, "frames are lost", func() bool {
		for range 1000 {
			s.app.Send(request)
		}
		return p.lost(t, unix.NETLINK_NETFILTER) > 0
	})

	must(t, p.Process.Signal(unix.SIGCONT))
	s.app.expectAnswered(t)
	late.expectAnswered(t)
	if n := s.db.heard(); n > before {
		t.Errorf("db heard %d ARP frames", n-before)
	}
}

// lost counts the messages of a netlink protocol that the program has lost (/proc/net/netlink, the columns Eth and
// Drops).
func (p *program) lost(t *testing.T, protocol int) int {
	t.Helper()
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/netlink", p.Process.Pid))
	must(t, err)
	lost := 0
	for line := range strings.Lines(string(table)) {
		columns := strings.Fields(line)
		if columns[1] == strconv.Itoa(protocol) {
			n, err := strconv.Atoi(columns[8])
			must(t, err)
			lost += n
		}
	}
	return lost
}
