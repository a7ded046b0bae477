package main

import (
	"encoding/json"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/arp"
	"golang.org/x/sys/unix"
)

// startAsk starts 'arpfabric ask' in a guest.
func (g *guest) startAsk(t *testing.T, args ...string) *program {
	t.Helper()
	return launch(t, g.Start, nil, append([]string{"ask"}, args...)...)
}

// ask runs 'arpfabric ask' to its end, and returns its exit code and its output, with T for every latency.
func (g *guest) ask(t *testing.T, args ...string) (int, string) {
	t.Helper()
	p := g.startAsk(t, args...)
	return p.wait(t), withoutLatencies(p.output.String())
}

var latency = regexp.MustCompile(`\b[0-9.]+ (µs|ms|s)\b`)

func withoutLatencies(text string) string { return latency.ReplaceAllString(text, "T") }

func expectAsked(t *testing.T, code int, out string, wantCode int, want string) {
	t.Helper()
	if code != wantCode || out != want {
		t.Errorf("exit code %d, want %d\n%s", code, wantCode, cmp.Diff(want, out))
	}
}

const dbReply = "Reply 10.239.0.102 is-at 02:00:07:de:54:a8, T\n"

func TestAskFabric(t *testing.T) {
	s := newStage(t)
	startRun(t, onBridge(""))
	s.app.expectAnswered(t)
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"another guest", []string{"10.239.0.102"}, 0, dbReply + "asked 1, answered 1; latency min T, avg T, max T\n"},
		{
			"twice", []string{"10.239.0.102", "-i", "eth0", "--count", "2", "--interval", "0s"}, 0,
			dbReply + dbReply + "asked 2, answered 2; latency min T, avg T, max T\n",
		},
		{
			"own address", []string{"10.239.0.101", "--probe"}, 0,
			"Reply 10.239.0.101 is-at 02:00:06:de:54:a8, T\nasked 1, answered 1; latency min T, avg T, max T\n",
		},
		{
			"not allocated", []string{"10.239.0.77"}, 1,
			"Request who-has 10.239.0.77 tell 10.239.0.101: no reply in 1s\n" +
				"asked 1, answered 0\nunanswered: 1 of 1 requests for 10.239.0.77\n",
		},
		{
			"not allocated, by a probe", []string{"10.239.0.77", "--probe"}, 1,
			"Request who-has 10.239.0.77 tell 0.0.0.0: no reply in 1s\n" +
				"asked 1, answered 0\nunanswered: 1 of 1 requests for 10.239.0.77\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, out := s.app.ask(t, tt.args...)
			expectAsked(t, code, out, tt.code, tt.want)
		})
	}
	s.expectSilence(t)
}

func TestAskJSON(t *testing.T) {
	skipIfShort(t)
	s := newStage(t)
	p := s.app.startAsk(t, "10.239.0.102", "--json")
	if code := p.wait(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	var got map[string]any
	labtest.Must(t, json.Unmarshal([]byte(p.output.String()), &got))
	if latency, ok := got["latency"].(map[string]any); !ok || latency["min_ns"].(float64) <= 0 {
		t.Errorf("latency is %v", got["latency"])
	}
	delete(got, "latency")
	want := map[string]any{
		"address": "10.239.0.102", "interface": "eth0", "sender_mac": "02:00:06:de:54:a8", "sender_ip": "10.239.0.101",
		"asked": 1.0, "answered": 1.0, "conflict": false,
		"answerers": []any{map[string]any{
			"mac": "02:00:07:de:54:a8", "replies": 1.0, "ethernet_sources": []any{"02:00:07:de:54:a8"},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
}

// TestAskTwins asks for an address of two guests on a plain bridge.
func TestAskTwins(t *testing.T) {
	skipIfShort(t)
	s := newStage(t)
	addGuestAt(t, 3, "twin", net.HardwareAddr{0x02, 0, 0x09, 0xde, 0x54, 0xa8}, "10.239.0.102/24")
	code, out := s.app.ask(t, "10.239.0.102", "--count", "2")
	replies := slices.Sorted(strings.Lines(out)) // either guest may answer first
	want := []string{
		dbReply, dbReply,
		"Reply 10.239.0.102 is-at 02:00:09:de:54:a8, T\n", "Reply 10.239.0.102 is-at 02:00:09:de:54:a8, T\n",
		"asked 2, answered 2; latency min T, avg T, max T\n",
	}
	conflict := func(first, second string) string {
		return "conflict: 2 MACs answer for 10.239.0.102: " + first + " (2), " + second + " (2)\n"
	}
	const db, twin = "02:00:07:de:54:a8", "02:00:09:de:54:a8"
	if code != 1 || len(replies) != 6 || !slices.Equal(replies[:5], want) ||
		replies[5] != conflict(db, twin) && replies[5] != conflict(twin, db) {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// TestAskForger asks while db sends malformed frames and replies that do not match the request, and then replies whose
// Ethernet source differs from the sender's MAC in them.
func TestAskForger(t *testing.T) {
	skipIfShort(t)
	s := newStage(t)
	forged := lab.ARP{
		Destination: s.app.MAC, Source: s.db.MAC, Operation: arp.OperationReply,
		SenderHardwareAddr: net.HardwareAddr{0x02, 0, 0x09, 0xde, 0x54, 0xa8}, SenderIP: netip.MustParseAddr("10.239.0.77"),
		TargetHardwareAddr: s.app.MAC, TargetIP: s.app.Addr.Addr(),
	}
	toAnother := forged
	toAnother.TargetHardwareAddr = s.db.MAC
	longMACs := slices.Concat(forged.Frame(), make([]byte, 18))
	longMACs[18] = 12
	cut := forged.Frame()[:41] // the bridge forwards a frame that has the first 8 bytes of ARP
	stop := labtest.SendRepeatedly(s.db.Capture, toAnother.Frame(), longMACs, cut, s.db.request("10.239.0.77"))
	defer stop()
	code, out := s.app.ask(t, "10.239.0.77")
	expectAsked(t, code, out, 1, "Request who-has 10.239.0.77 tell 10.239.0.101: no reply in 1s\n"+
		"asked 1, answered 0\nunanswered: 1 of 1 requests for 10.239.0.77\n")

	stop()
	defer labtest.SendRepeatedly(s.db.Capture, forged.Frame(), cut)()
	code, out = s.app.ask(t, "10.239.0.77")
	first, _, _ := strings.Cut(out, "\n")
	const want = "Reply 10.239.0.77 is-at 02:00:09:de:54:a8, T, but its Ethernet source is 02:00:07:de:54:a8"
	if code != 0 || first != want {
		t.Errorf("exit code %d, %q; want %q", code, first, want)
	}
}

func TestAskInterrupted(t *testing.T) {
	skipIfShort(t)
	tests := []struct {
		name string
		args []string
		when func(t *testing.T, s *stage, p *program)
		code int
		want string
	}{
		{
			"after a reply", []string{"10.239.0.102", "--timeout", "1h"},
			func(t *testing.T, _ *stage, p *program) { p.expectLog(t, "Reply 10.239.0.102 is-at") },
			0, dbReply + "asked 1, answered 1; latency min T, avg T, max T\n",
		},
		{
			"before a reply", []string{"10.239.0.77", "--timeout", "1h"},
			func(t *testing.T, s *stage, _ *program) {
				labtest.Eventually(t, "db hears the request", func() bool { return s.db.heard() > 0 })
			},
			1, "interrupted before the first reply\n",
		},
		{
			"between requests", []string{"10.239.0.77", "--timeout", "10ms", "--count", "2", "--interval", "1h"},
			func(t *testing.T, _ *stage, p *program) { p.expectLog(t, "no reply") },
			1, "Request who-has 10.239.0.77 tell 10.239.0.101: no reply in 10ms\n" +
				"asked 1, answered 0\nunanswered: 1 of 1 requests for 10.239.0.77\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			p := s.app.startAsk(t, tt.args...)
			tt.when(t, s, p)
			labtest.Must(t, p.Process.Signal(unix.SIGINT))
			code := p.wait(t)
			expectAsked(t, code, withoutLatencies(p.output.String()), tt.code, tt.want)
		})
	}
}

func TestAskThatCannot(t *testing.T) {
	newStage(t)
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no interface is near", []string{"10.239.0.102"}, 1, "no interface has a subnet with 10.239.0.102; choose one with --interface"},
		{"no such interface", []string{"10.239.0.102", "-i", "eth7"}, 1, "there is no interface eth7; `ip link` lists the interfaces"},
		{"member of a bridge", []string{"10.239.0.102", "-i", "vnet1"}, 1, "vnet1 is a member of the bridge br0, which takes all " +
			"its frames; use the bridge, or run inside a guest"},
		{"no address", []string{"10.239.0.102", "-i", "br0", "--probe"}, 1, "br0 has no IPv4 address; add one first, or use another interface"},
		{"no argument", nil, 2, "missing argument IP; see 'arpfabric ask --help'"},
		{"no address at all", []string{"db", "--count", "0"}, 2, "\"db\" is not an IPv4 address\n--count is 0; it must be at least 1; see 'arpfabric ask --help'"},
		{"no duration", []string{"10.239.0.1", "--timeout", "1"}, 2, `invalid argument "1" for "--timeout" flag: ` +
			`want a duration, such as 90s, 30m or 24h; see 'arpfabric ask --help'`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, out := runToEnd(t, nil, append([]string{"ask"}, tt.args...)...)
			expectAsked(t, code, out, tt.code, "arpfabric: "+tt.want+"\n")
		})
	}
}

func TestAskWithoutPrivileges(t *testing.T) {
	labtest.NeedProgram(t, "setpriv")
	newStage(t)
	labtest.Must(t, labtest.AddAddress(bridgeName, netip.MustParsePrefix("10.239.0.1/24")))
	setpriv := []string{"setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--ambient-caps", "-all"}
	code, out := runToEnd(t, setpriv, "ask", "10.239.0.102")
	if want := "arpfabric: opening a packet socket on br0 (needs CAP_NET_RAW): "; code != 1 || !strings.HasPrefix(out, want) {
		t.Errorf("exit code %d, %s; want %s", code, out, want)
	}
}
