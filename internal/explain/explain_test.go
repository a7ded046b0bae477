package explain_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/explain"
	"github.com/arpfabric/arpfabric/responder"
)

var update = flag.Bool("update", false, "write the explanations in testdata anew")

// web is the guest 10.239.0.101 of the network lab.
const web = " from 02:00:06:de:54:a8"

// A question is one of the explanations in testdata, by name.
type question struct {
	name   string
	reason responder.Reason
	asked  explain.Question
	in     func(*explain.Place) // what only a running fabric knows
}

var questions = []question{
	{name: "not-arp", reason: responder.NotARP, asked: by("vnet2", "arponly", "ip 10.241.0.1 > 10.241.0.1")},
	{name: "not-arp-uplink", reason: responder.NotARP, asked: by("eth1", "", "ip 10.239.0.1 > 10.239.0.101")},
	{name: "not-arp-host", reason: responder.NotARP, asked: by("br0", "", "ip 10.239.0.1 > 10.239.0.101")},
	{
		name: "not-arp-host-group", reason: responder.NotARP,
		asked: by("br0", "", "IP 10.239.0.1.5353 > 224.0.0.251.5353: UDP, length 40"),
	},
	{
		name: "not-arp-host-ipv6", reason: responder.NotARP,
		asked: by("br0", "", "IP6 fe80::1 > ff02::1 from 02:00:00:de:54:a8"),
	},
	{
		name: "not-arp-host-vlan", reason: responder.NotARP,
		asked: by("br2.10", "", "ip 10.241.0.1 > 10.241.0.1"),
	},
	{
		name: "not-arp-host-device", reason: responder.NotARP,
		asked: by("br0", "lab", "ip 10.239.0.1 > 10.239.0.101"),
		in: func(p *explain.Place) {
			p.In.Port, p.In.HostMAC, p.Host = "lan", responder.MAC{2, 0, 0, 0xde, 0x54, 0xa8}, true
		},
	},
	{name: "not-arp-host-tap", reason: responder.NotARP, asked: by("br3", "", "ip 10.242.0.1 > 10.242.0.1")},
	{name: "malformed", reason: responder.Malformed, asked: inHex("ffffffffffff 020006de54a8 0806 0001")},
	{name: "malformed-header", reason: responder.Malformed, asked: inHex("ff:ff:ff")},
	{
		name: "malformed-ipv4", reason: responder.Malformed,
		asked: inHex("\t0x0000:  ffff ffff ffff 0200\n\t0x0008: 06de 54a8 0800 4500\n"),
	},
	{name: "unexpected-vlan", reason: responder.UnexpectedVLAN, asked: by("vnet2", "", "vlan 5, "+ask)},
	{
		name: "unexpected-vlan-ipv4", reason: responder.UnexpectedVLAN,
		asked: by("vnet2", "", "vlan 5, ip 10.239.0.101 > 10.239.0.102"),
	},
	{
		name: "unsupported-operation", reason: responder.UnsupportedOperation,
		asked: by("vnet2", "", "Reverse Request who-is 02:00:06:de:54:a8 tell 02:00:06:de:54:a8"),
	},
	{
		name: "rate-limited", reason: responder.RateLimited, asked: by("vnet2", "", ask),
		in: func(p *explain.Place) { p.In.OverLimit = true },
	},
	{
		name: "invalid-sender-mac", reason: responder.InvalidSenderMAC,
		asked: by("vnet2", "", ask+" from ff:ff:ff:ff:ff:ff"),
	},
	{
		name: "sender-mac-mismatch", reason: responder.SenderMACMismatch,
		asked: by("vnet2", "", "reply 10.239.0.1 is-at 02:00:00:de:54:a8"+web),
	},
	{
		name: "invalid-sender-ip", reason: responder.InvalidSenderIP,
		asked: by("vnet2", "", "who-has 10.239.0.102 tell 127.0.0.1"+web),
	},
	{
		name: "unregistered-sender", reason: responder.UnregisteredSender,
		asked: by("vnet2", "", "who-has 10.239.0.102 tell 10.239.0.9"+web),
	},
	{
		name: "spoofed-sender", reason: responder.SpoofedSender,
		asked: by("vnet2", "", "who-has 10.239.0.1 tell 10.239.0.102"+web),
	},
	{
		name: "spoofed-sender-port", reason: responder.SpoofedSender,
		asked: by("vnet2", "", "who-has 10.239.0.1 tell 10.239.0.102"),
	},
	{
		name: "guest-reply", reason: responder.GuestReply,
		asked: by("vnet2", "", "reply 10.239.0.101 is-at 02:00:06:de:54:a8"),
	},
	{
		name: "guest-reply-uplink", reason: responder.GuestReply,
		asked: by("eth1", "", "reply 10.239.0.9 is-at 02:00:09:de:54:a8"),
	},
	{name: "announcement", reason: responder.Announcement, asked: by("vnet2", "", "who-has 10.239.0.101 tell 10.239.0.101")},
	{
		name: "host-address", reason: responder.HostAddress, asked: by("", "out", "who-has 10.244.0.9 tell 10.244.0.1"),
		in: func(p *explain.Place) {
			p.Network.Policy.Host = []netip.Addr{netip.MustParseAddr("10.244.0.9")}
		},
	},
	{
		name: "unknown-target", reason: responder.UnknownTarget,
		asked: by("vnet2", "", "who-has 10.239.0.55 tell 10.239.0.101"),
	},
	{
		name: "unknown-target-probe", reason: responder.UnknownTarget,
		asked: by("vnet2", "", "who-has 10.239.0.55 tell 0.0.0.0"+web),
	},
	{
		name: "unknown-target-sidecar", reason: responder.UnknownTarget,
		asked: by("eth3", "", "who-has 10.245.0.1 tell 10.245.0.2"),
		in:    behind(responder.MAC{2, 0, 6, 0xde, 0x5a, 0xa8}),
	},
	{
		name: "unallocated-probe", reason: responder.UnallocatedProbe,
		asked: by("vnet11", "", "who-has 10.240.0.9 tell 0.0.0.0"+web),
	},
	{
		name: "self-probe", reason: responder.SelfProbe,
		asked: by("vnet2", "", "who-has 10.239.0.101 (ff:ff:ff:ff:ff:ff) tell 0.0.0.0"+web),
	},
	{
		name: "self-probe-ignored", reason: responder.SelfProbe,
		asked: by("vnet11", "", "who-has 10.240.0.1 tell 0.0.0.0 from 02:00:00:de:55:a8"),
	},
	{
		name: "conflict-probe", reason: responder.ConflictProbe,
		asked: by("vnet2", "", "who-has 10.239.0.102 tell 0.0.0.0"+web),
	},
	{name: "answered", reason: responder.Answered, asked: by("vnet2", "", ask)},
	{
		name: "answered-range", reason: responder.Answered,
		asked: by("vnet2", "", "who-has 10.239.0.130 tell 10.239.0.101"),
	},
	{
		name: "answered-any-sender", reason: responder.Answered,
		asked: by("vnet11", "", "who-has 10.240.0.1 tell 10.240.0.9"+web),
	},
	{
		name: "conflict-probe-classic", reason: responder.ConflictProbe,
		asked: by("vnet2", "arponly", "who-has 10.241.0.1 tell 0.0.0.0"+web),
	},
	{
		name: "answered-uplink", reason: responder.Answered,
		asked: by("eth1", "", "who-has 10.239.0.101 tell 10.239.0.9 from 02:00:09:de:54:a8"),
	},
	{name: "answered-host", reason: responder.Answered, asked: by("br0", "", "who-has 10.239.0.102 tell 10.239.0.1")},
	{name: "answered-sidecar", reason: responder.Answered, asked: by("", "pod", "who-has 10.245.0.1 tell 10.245.0.2")},
	{
		name: "answered-sidecar-neighbour", reason: responder.Answered,
		asked: by("", "pod", "who-has 10.245.0.2 tell 10.245.0.1"),
		in:    behind(responder.MAC{2, 0, 6, 0xde, 0x5a, 0xa8}),
	},
	{
		name: "self-probe-sidecar", reason: responder.SelfProbe,
		asked: by("", "pod", "who-has 10.245.0.2 tell 0.0.0.0 from 02:00:06:de:5a:a8"),
	},
	{name: "answered-interface", reason: responder.Answered, asked: by("", "out", "who-has 10.244.0.2 tell 10.244.0.1")},
	{
		name: "conflict-probe-free-tap", reason: responder.ConflictProbe,
		asked: by("", "free", "who-has 10.243.0.1 tell 0.0.0.0"+web),
	},
	{
		name: "rarp-announcement", reason: responder.RARPAnnouncement,
		asked: by("vnet2", "", "ethertype 0x8035, length 28"+web),
	},
	{
		name: "unregistered-mac", reason: responder.UnregisteredMAC,
		asked: by("vnet2", "", "IP 0.0.0.0.68 > 255.255.255.255.67: UDP, length 300 from 02:00:09:de:54:a8"),
	},
	{
		name: "unregistered-mac-port", reason: responder.UnregisteredMAC,
		asked: by("vnet2", "", "IP 0.0.0.0.68 > 255.255.255.255.67: UDP, length 300 from 02:00:07:de:54:a8"),
	},
	{name: "ipv6", reason: responder.IPv6, asked: by("vnet2", "", "IP6 fe80::1 > ff02::2"+web)},
	{
		name: "ipv6-passes", reason: responder.IPv6,
		asked: by("vnet2", "six", "IP6 fe80::1 > ff02::2 from 02:00:00:de:57:a8"),
	},
	{
		name: "unsupported-ethertype", reason: responder.UnsupportedEtherType,
		asked: by("vnet2", "", "ethertype 0x88cc, length 40"+web),
	},
	{
		name: "dhcp-client", reason: responder.DHCPClient,
		asked: by("vnet2", "", "IP 0.0.0.0.68 > 255.255.255.255.67: UDP, length 300"+web),
	},
	{
		name: "unregistered-source", reason: responder.UnregisteredSource,
		asked: by("vnet2", "", "ip 10.239.0.9 > 10.239.0.102"+web),
	},
	{
		name: "spoofed-source", reason: responder.SpoofedSource,
		asked: by("vnet2", "", "ip 10.239.0.102 > 10.239.0.101"+web),
	},
	{
		name: "spoofed-source-host", reason: responder.SpoofedSource,
		asked: by("vnet2", "", "ip 10.239.0.1 > 10.239.0.101"),
		in:    func(p *explain.Place) { p.In.HostMAC = responder.MAC{2, 0, 0, 0xde, 0x54, 0xa8} },
	},
	{
		name: "group-destination", reason: responder.GroupDestination,
		asked: by("vnet2", "", "IP 10.239.0.101.5353 > 224.0.0.251.5353: UDP, length 40"),
	},
	{
		name: "unknown-destination", reason: responder.UnknownDestination,
		asked: by("vnet2", "", "ip 10.239.0.101 > 10.239.0.9 to 02:00:09:de:54:a8"),
	},
	{name: "admitted", reason: responder.Admitted, asked: by("vnet2", "", "ip 10.239.0.101 > 10.239.0.102")},
	{name: "admitted-gateway", reason: responder.Admitted, asked: by("vnet2", "lab", "ip 10.239.0.101 > 192.0.2.1")},
}

// behind says that a frame comes from outside a sidecar, whose guest has the MAC.
func behind(owner responder.MAC) func(*explain.Place) {
	return func(p *explain.Place) { p.In.Owner, p.Host = owner, false }
}

const ask = "who-has 10.239.0.102 tell 10.239.0.101"

// by asks about a line, in the network lab unless another is named.
func by(port, network, line string) explain.Question {
	if network == "" && port == "vnet2" {
		network = "lab"
	}
	return explain.Question{Network: network, Port: port, Line: line}
}

func inHex(frame string) explain.Question {
	return explain.Question{Network: "lab", Port: "vnet2", Hex: frame}
}

// TestExplain holds every explanation to the file of its name.
func TestExplain(t *testing.T) {
	networks := load(t)
	var seen [responder.NumReasons]bool
	for _, q := range questions {
		t.Run(q.name, func(t *testing.T) {
			e := answer(t, networks, q)
			if e.Reason != q.reason.String() {
				t.Fatalf("the reason is %s; want %s", e.Reason, q.reason)
			}
			if e.Dropped() != (len(e.Change) > 0) {
				t.Errorf("dropped: %v; what to change: %q", e.Dropped(), e.Change)
			}
			seen[q.reason] = true
			var out bytes.Buffer
			if err := e.Print(&out); err != nil {
				t.Fatal(err)
			}
			checkGolden(t, q.name+".txt", out.Bytes())
		})
	}
	for reason := responder.Reason(1); int(reason) < responder.NumReasons; reason++ {
		if !seen[reason] {
			t.Errorf("no explanation has the reason %s", reason)
		}
	}
}

// TestJSON pins the keys that programs rely on.
func TestJSON(t *testing.T) {
	networks := load(t)
	for _, name := range []string{"conflict-probe", "spoofed-sender"} {
		i := slices.IndexFunc(questions, func(q question) bool { return q.name == name })
		got, err := json.MarshalIndent(answer(t, networks, questions[i]), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		checkGolden(t, name+".json", append(got, '\n'))
	}
}

func load(t testing.TB) []config.Network {
	t.Helper()
	cfg, err := config.Load("testdata/lab.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return cfg.Networks
}

// answer answers a question, as a fabric does that knows more than its configuration where the question says so.
func answer(t *testing.T, networks []config.Network, q question) explain.Explanation {
	t.Helper()
	if q.in == nil {
		e, err := q.asked.Answer(networks)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	places, err := explain.Places(networks, q.asked.Network, q.asked.Port)
	if err != nil {
		t.Fatal(err)
	}
	q.in(&places[0])
	e, err := q.asked.AnswerAt(places)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func checkGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got)\n%s", path, diff)
	}
}

// TestMistakes is about questions that can't be answered.
func TestMistakes(t *testing.T) {
	networks := load(t)
	const add = "; add the MAC behind it: from 02:00:06:de:54:a8"
	tests := []struct {
		asked explain.Question
		want  string
	}{
		{by("", "", ask), "the configuration has arponly, free, lab, open, out, pod, six; say which with --network"},
		{
			by("vnet9", "", ask),
			"the configuration does not say to which network vnet9 belongs; " +
				"say which of arponly, free, lab, open, out, pod, six with --network",
		},
		{by("", "red", ask), "there is no network red; the configuration has arponly, free, lab, open, out, pod, six"},
		{by("", "lab", ask), "br0 has many ports; say with --port by which the frame comes in"},
		{by("vnet3", "out", ask), "network out is on eth2: frames come in by that, not by vnet3"},
		{
			by("vnet3", "", "who-has 10.239.0.1 tell 10.239.0.9"),
			"10.239.0.9 has no binding in network lab, so the line does not say who sends the frame" + add,
		},
		{
			by("vnet3", "", "who-has 10.239.0.1 tell 0.0.0.0"),
			"0.0.0.0 is nobody's address, so the line does not say who asks" + add,
		},
		{by("vnet3", "", "ethertype 0x88cc, length 0"), "the line does not say who sends the frame" + add},
		{
			by("vnet3", "", "ip 10.239.0.101 > 10.239.0.9"),
			"10.239.0.9 has no binding in network lab, so a guest finds no MAC to send to; " +
				"to see what would become of the frame add one: to 02:00:00:de:54:a8",
		},
		{
			by("eth3", "", "ip 10.245.0.2 > 10.245.0.1"),
			"only ARP can be explained on a sidecar; of all else the kernel lets IPv4 from its guest's own addresses " +
				"and DHCP leave eth3 (nft list table netdev arpfabric)",
		},
		{inHex("0"), "the frame ends in half a byte: it has 1 hexadecimal digits"},
		{inHex("02 xx"), `the frame is not hexadecimal: there is a 'x' in it`},
	}
	for _, tt := range tests {
		if e, err := tt.asked.Answer(networks); err == nil || err.Error() != tt.want {
			t.Errorf("%+v: %s, %v\nwant %s", tt.asked, e.Reason, err, tt.want)
		}
	}
}

// TestTenants wants to be told which network is meant where several have the port, and the frame's tag does not tell.
func TestTenants(t *testing.T) {
	cfg, err := config.Load("testdata/tenants.yaml")
	if err != nil {
		t.Fatal(err)
	}
	by := func(port, line string) explain.Question { return explain.Question{Port: port, Line: line} }
	const ask = "who-has 10.239.0.101 tell 10.239.0.1"
	places, err := explain.Places(cfg.Networks, "", "eth1")
	if err != nil {
		t.Fatal(err)
	}
	untagged := slices.Clone(places)
	untagged[0].In.Trunk = false
	tests := []struct {
		asked  explain.Question
		places []explain.Place // nil for what the configuration says
		want   string          // the network, or what is wrong
	}{
		{by("eth1", "vlan 10, "+ask), nil, "blue"},
		{by("eth1", "vlan 20, "+ask), nil, "red"},
		{explain.Question{Port: "eth1", Hex: "ffffffffffff 020000de54a8 8100 6014 0800"}, nil, "red"},
		{by("br0.10", ask), nil, "blue"},
		{by("vnet2", ask), nil, "red"},
		{by("eth1", ask), untagged, "blue"},
		{by("eth1", "vlan 20, "+ask), untagged, "red"},
		{by("eth1", ask), nil, "eth1 may belong to blue, red; say which with --network"},
		{by("eth1", "vlan 30, "+ask), nil, "eth1 may belong to blue, red; say which with --network"},
		{by("br0", ask), nil, "br0 may belong to blue, red; say which with --network"},
		{by("eth1", "vlan 10, "+ask), untagged, "eth1 may belong to blue, red; say which with --network"},
		{explain.Question{Port: "eth1", Hex: "0"}, nil, "the frame ends in half a byte: it has 1 hexadecimal digits"},
		{
			by("eth1", "who"), nil,
			`want who-has, not "who"; write, for example, "who-has 10.239.0.102 tell 10.239.0.101"`,
		},
	}
	for _, tt := range tests {
		e, err := tt.asked.Answer(cfg.Networks)
		if tt.places != nil {
			e, err = tt.asked.AnswerAt(tt.places)
		}
		if got := cmp.Or(e.Network, fmt.Sprint(err)); got != tt.want {
			t.Errorf("%+v: %s; want %s", tt.asked, got, tt.want)
		}
	}
}

// FuzzExplain explains any frame, and expects the verdict of Handle, or of Admit where the kernel goes by it.
func FuzzExplain(f *testing.F) {
	networks := load(f)
	for _, q := range questions {
		places, err := explain.Places(networks, q.asked.Network, q.asked.Port)
		if err != nil {
			f.Fatal(err)
		}
		n := places[0].Network
		frame, _, err := explain.FrameOf(n, q.asked.Line)
		if q.asked.Hex != "" {
			frame, err = explain.FrameOfHex(q.asked.Hex)
		}
		if err != nil {
			f.Fatal(err)
		}
		isIt := func(other config.Network) bool { return other.Name == n.Name }
		f.Add(frame, q.asked.Port, uint8(slices.IndexFunc(networks, isIt)))
	}
	f.Fuzz(func(t *testing.T, frame []byte, port string, which uint8) {
		n := networks[int(which)%len(networks)]
		places, err := explain.Places([]config.Network{n}, "", port)
		if err != nil {
			return
		}
		place := places[0]
		e, err := explain.Explain(place, frame)
		if err != nil {
			return
		}
		r := responder.New(n.Registry, n.Policy)
		want := r.Handle(place.In, frame, make([]byte, responder.MaxReplyLen))
		fromGuest := !place.In.Uplink && !place.Host
		if want.Reason == responder.NotARP && n.Attach.Bridge != "" && n.Guard == config.GuardFull && fromGuest {
			want = r.Admit(place.In, frame)
		}
		if e.Action != want.Action.String() || e.Reason != want.Reason.String() {
			t.Errorf("%s, %s; want %s, %s", e.Action, e.Reason, want.Action, want.Reason)
		}
		if err := e.Print(io.Discard); err != nil {
			t.Error(err)
		}
	})
}
