package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/explain"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

func TestExplain(t *testing.T) {
	skipIfShort(t)
	file := labtest.TempFile(t, "arpfabric.yaml", onBridge(""))
	const answer = `ARP, Request who-has 10.239.0.102 tell 10.239.0.101, length 28
from 02:00:06:de:54:a8 to ff:ff:ff:ff:ff:ff, ingress vnet2
network lab: vpc on bridge br0, 3 bindings, guard full

verdict: reply, answered

ROW                    FITS  BECAUSE
not-arp                no    the EtherType is 0x0806
malformed              no    a complete ARP packet for IPv4 over Ethernet II
unexpected-vlan        no    no VLAN tag
unsupported-operation  no    the operation is request
rate-limited           no    the port is within its rate limit
invalid-sender-mac     no    the sender's MAC 02:00:06:de:54:a8 is unicast
sender-mac-mismatch    no    the Ethernet source is 02:00:06:de:54:a8, the sender's MAC 02:00:06:de:54:a8
invalid-sender-ip      no    10.239.0.101 can be a source address
unregistered-sender    no    10.239.0.101 is bound to 02:00:06:de:54:a8 (FILE:6; sender: strict)
spoofed-sender         no    bound to 02:00:06:de:54:a8, sent by 02:00:06:de:54:a8 (FILE:6; sender: strict)
guest-reply            no    the operation is request
announcement           no    10.239.0.101 asks for 10.239.0.102
host-address           no    10.239.0.102 is not the host's own
unknown-target         no    10.239.0.102 is bound to 02:00:07:de:54:a8 (FILE:7)
unallocated-probe      no    10.239.0.102 is bound to 02:00:07:de:54:a8 (FILE:7)
self-probe             no    not a probe: the sender is 10.239.0.101 (FILE:7)
conflict-probe         no    not a probe: the sender is 10.239.0.101 (FILE:7)
answered               yes   10.239.0.102 is bound to 02:00:07:de:54:a8 (FILE:7)

decided by:
  FILE:7: 10.239.0.102 is-at 02:00:07:de:54:a8

answer:
  ARP, Reply 10.239.0.102 is-at 02:00:07:de:54:a8, length 46
  from 02:00:07:de:54:a8 to 02:00:06:de:54:a8
  0200 06de 54a8 0200 07de 54a8 0806 0001
  0800 0604 0002 0200 07de 54a8 0aef 0066
  0200 06de 54a8 0aef 0065 0000 0000 0000
  0000 0000 0000 0000 0000 0000

note:
  the line has no 'from MAC': assuming 02:00:06:de:54:a8, which the registry has for 10.239.0.101
`
	const short = `malformed ARP, length 0
from unknown to unknown, ingress vnet2
network lab: vpc on bridge br0, 3 bindings, guard full

verdict: drop, malformed

ROW        FITS  BECAUSE
not-arp    no    no EtherType: the frame ends before it
malformed  yes   no complete ARP packet for IPv4 over Ethernet II in 3 bytes

decided by:
  the frame alone; no line of the configuration matters

to change it:
  find out what sends it: the frame is invalid, or not for IPv4 over Ethernet II
`
	const passes = "the EtherType is 0x0800, so the allow-list decides"
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"answered", []string{"who-has 10.239.0.102 tell 10.239.0.101"}, 0, answer},
		{"in words of the command line", strings.Fields("who-has 10.239.0.102 tell 10.239.0.101"), 0, answer},
		{"dropped", []string{"--frame", "ff:ff ff"}, 1, short},
		{
			"no MAC", []string{"who-has 10.239.0.102 tell 10.239.0.9"}, 2,
			"arpfabric: 10.239.0.9 has no binding in network lab, so the line does not identify the sender; " +
				"add its MAC at the end: from 02:00:06:de:54:a8; see 'arpfabric explain --help'\n",
		},
		{
			"no words", []string{"who has 10.239.0.102"}, 2,
			"arpfabric: want who-has, not \"who\"; write, for example, \"who-has 10.239.0.102 tell 10.239.0.101\"; see 'arpfabric explain --help'\n",
		},
		{
			"no frame", nil, 2,
			"arpfabric: give one frame, as tcpdump prints it or with --frame; see 'arpfabric explain --help'\n",
		},
		{
			"two frames", []string{"--frame", "ff", "who-has"}, 2,
			"arpfabric: give one frame, as tcpdump prints it or with --frame; see 'arpfabric explain --help'\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, out := runToEnd(t, nil, append([]string{"explain", "--config", file, "--port", "vnet2"}, tt.args...)...)
			if want := strings.ReplaceAll(tt.want, "FILE", file); code != tt.code || out != want {
				t.Errorf("exit code %d\n%s\nwant %d\n%s", code, out, tt.code, want)
			}
		})
	}
	code, out := runToEnd(t, nil, "explain", "--config", file, "--port", "vnet2", "ip 10.239.0.101 > 10.239.0.102")
	if code != 0 || !strings.Contains(out, passes) || !strings.Contains(out, "verdict: pass, admitted\n") {
		t.Errorf("IPv4: exit code %d\n%s", code, out)
	}
}

func TestExplainJSON(t *testing.T) {
	skipIfShort(t)
	file := labtest.TempFile(t, "arpfabric.yaml", onBridge(""))
	code, out := runToEnd(t, nil, "explain", "--json", "-c", file, "--port", "vnet2", "who-has 10.239.0.9 tell 10.239.0.101")
	var got struct{ Action, Reason string }
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if code != 1 || got.Action != "drop" || got.Reason != "unknown-target" {
		t.Errorf("exit code %d, %+v\n%s", code, got, out)
	}
}

// TestExplainByTheRunningFabric checks that explain without --config asks the running fabric, and prints the same as
// with the fabric's file.
func TestExplainByTheRunningFabric(t *testing.T) {
	question := []string{"--port", "vnet2", "who-has 10.239.0.9 tell 10.239.0.101"}
	code, out := runToEnd(t, nil, append([]string{"explain"}, question...)...)
	if code != 1 || !strings.HasPrefix(out, "arpfabric: no arpfabric is running on /run/arpfabric/api.sock; start it") {
		t.Errorf("with none running: exit code %d\n%s", code, out)
	}

	newStage(t)
	file := labtest.TempFile(t, "arpfabric.yaml", onBridge(""))
	startWith(t, file)
	_, want := runToEnd(t, nil, append([]string{"explain", "--config", file}, question...)...)
	var got string
	labtest.Eventually(t, "the fabric can be asked", func() bool {
		code, got = runToEnd(t, nil, append([]string{"explain"}, question...)...)
		return !strings.Contains(got, "no arpfabric is running")
	})
	if code != 1 || got != want {
		t.Errorf("exit code %d\n%s\nwant 1\n%s", code, got, want)
	}
	code, out = runToEnd(t, nil, "explain", "--port", "vnet9", "who-has 10.239.0.9 tell 10.239.0.101")
	if want := "arpfabric: there is no port vnet9; the ports are br0, vnet1, vnet2; see 'arpfabric explain --help'\n"; code != 2 || out != want {
		t.Errorf("a port that does not exist: exit code %d\n%s\nwant 2\n%s", code, out, want)
	}
	code, out = runToEnd(t, nil, "explain", "--port", "vnet2", "who has 10.239.0.9")
	if code != 2 || !strings.HasPrefix(out, "arpfabric: want who-has, not \"who\"") {
		t.Errorf("a question with a mistake: exit code %d\n%s", code, out)
	}
}

func TestExplainBadConfiguration(t *testing.T) {
	skipIfShort(t)
	file := labtest.TempFile(t, "arpfabric.yaml", "networks: {}\n")
	code, out := runToEnd(t, nil, "explain", "--config", file, "--port", "vnet2", "who-has 10.239.0.9 tell 10.239.0.101")
	want := "arpfabric: " + file + ":1: networks: no networks; a configuration needs at least one\n"
	if code != 1 || out != want {
		t.Errorf("exit code %d\n%s\nwant 1\n%s", code, out, want)
	}
}

// TestExplainForetells explains frames and then sends them to a running fabric. The verdict in the log, and the answer
// byte by byte, must be those that explain has shown.
func TestExplainForetells(t *testing.T) {
	s := newStage(t)
	file := labtest.TempFile(t, "arpfabric.yaml", onBridge("log: {level: debug}\n"))
	p := arpfabric(t, nil, "run", "--config", file)
	s.app.expectAnswered(t)
	const app = " from 02:00:06:de:54:a8"
	lines := []string{
		"who-has 10.239.0.102 tell 10.239.0.101 to 02:00:07:de:54:a8",
		"who-has 10.239.0.102 tell 0.0.0.0" + app,
		"who-has 10.239.0.101 (ff:ff:ff:ff:ff:ff) tell 0.0.0.0" + app,
		"who-has 10.239.0.55 tell 10.239.0.101",
		"who-has 10.239.0.1 tell 10.239.0.9" + app,
		"who-has 10.239.0.1 tell 10.239.0.102" + app,
		"who-has 10.239.0.101 tell 10.239.0.101",
		"reply 10.239.0.101 is-at 02:00:06:de:54:a8",
		"reply 10.239.0.1 is-at 02:00:00:de:54:a8" + app,
		"Unknown (25)" + app,
		"vlan 0, who-has 10.239.0.102 tell 10.239.0.101",
		"ip 10.239.0.9 > 10.239.0.102" + app,
		"ip 10.239.0.102 > 10.239.0.101" + app,
		"IP 10.239.0.101.5353 > 224.0.0.251.5353: UDP, length 4",
		"IP 0.0.0.0.68 > 255.255.255.255.67: UDP, length 4 from 02:00:99:de:54:a8",
		"IP6 fe80::1 > ff02::2" + app,
		"ethertype 0x88cc, length 46" + app,
	}
	for _, line := range lines {
		e := foretell(t, file, line)
		frame, err := hex.DecodeString(e.Frame.Hex)
		labtest.Must(t, err)
		s.app.Send(frame)
		p.expectLog(t, fmt.Sprintf("msg=%q network=lab port=vnet1 action=%s reason=%s\n", e.Frame.Text, e.Action, e.Reason))
		if e.Reply != nil {
			labtest.Eventually(t, e.Reply.Text+" arrives", func() bool { return s.app.got(e.Reply.Hex) })
		}
	}
}

// foretell explains a frame that comes in by port vnet1.
func foretell(t *testing.T, file, line string) explain.Explanation {
	t.Helper()
	var e explain.Explanation
	_, out := runToEnd(t, nil, "explain", "--json", "--config", file, "--port", "vnet1", line)
	if err := json.Unmarshal([]byte(out), &e); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return e
}

// got reports whether a frame, in hexadecimal, has arrived at the guest.
func (g *guest) got(digits string) bool {
	frame, err := hex.DecodeString(digits)
	return err == nil && slices.ContainsFunc(g.Frames(), func(seen lab.Seen) bool {
		return !seen.Sent && bytes.Equal(seen.Frame, frame)
	})
}
