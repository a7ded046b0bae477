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
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/store"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

var update = flag.Bool("update", false, "write the explanations in testdata again")

// web is the guest 10.239.0.101 of the network lab.
const web = " from 02:00:06:de:54:a8"

// A question is one of the explanations in testdata, by name.
type question struct {
	name   string
	reason responder.Reason
	asked  explain.Question
	in     func(*config.Ingress) // sets the facts that only a running fabric knows
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
		in: func(p *config.Ingress) {
			p.Port, p.HostMAC = "lan", registry.MAC{2, 0, 0, 0xde, 0x54, 0xa8}
			p.Kind, p.AllowList = responder.Host, false
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
		in: func(p *config.Ingress) { p.RateLimited = true },
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
		in: func(p *config.Ingress) {
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
		in:    behind(registry.MAC{2, 0, 6, 0xde, 0x5a, 0xa8}),
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
	{
		name: "answered-uplink-host", reason: responder.Answered,
		asked: by("eth1", "", "who-has 10.239.0.102 tell 10.239.0.1"),
		in:    func(p *config.Ingress) { p.HostMAC = registry.MAC{2, 0, 0, 0xde, 0x54, 0xa8} },
	},
	{
		name: "answered-uplink-left", reason: responder.Answered,
		asked: by("eth1", "", "05:48:48.939893 eth1  Out ARP, Request who-has 10.239.0.102 tell 10.239.0.1, length 28"),
	},
	{
		name: "answered-host-any", reason: responder.Answered,
		asked: by("br0", "", "who-has 10.239.0.102 tell 192.0.2.1 from 02:00:00:de:54:a8"),
		in:    func(p *config.Ingress) { p.HostMAC = registry.MAC{2, 0, 0, 0xde, 0x54, 0xa8} },
	},
	{
		name: "spoofed-sender-host", reason: responder.SpoofedSender,
		asked: by("br0", "", "who-has 10.239.0.101 tell 10.239.0.102"),
	},
	{
		name: "unexpected-vlan-host", reason: responder.UnexpectedVLAN,
		asked: by("br0", "", "vlan 5, who-has 10.239.0.101 tell 10.239.0.1"),
	},
	{
		name: "spoofed-source-proxmox", reason: responder.SpoofedSource,
		asked: by("tap100i0", "proxmox", "ip 10.246.0.2 > 10.246.0.1"),
	},
	{
		name: "unregistered-mac-proxmox", reason: responder.UnregisteredMAC,
		asked: by("fwln100i0", "proxmox", "ethertype 0x8035, length 28 from 02:00:06:de:5b:a8"),
	},
	{
		name: "unknown-target-leaves", reason: responder.UnknownTarget,
		asked: by("vnet5", "lan", "who-has 10.248.0.9 tell 10.248.0.2"),
	},
	{
		name: "unknown-target-unregistered-probe", reason: responder.UnknownTarget,
		asked: by("vnet5", "lan", "who-has 10.248.0.9 tell 0.0.0.0 from 02:00:09:de:5d:a8"),
	},
	{
		name: "unknown-destination-leaves", reason: responder.UnknownDestination,
		asked: by("vnet5", "lan", "ip 10.248.0.2 > 10.248.0.9 to 02:00:09:de:5d:a8"),
	},
	{name: "answered-host", reason: responder.Answered, asked: by("br0", "", "who-has 10.239.0.102 tell 10.239.0.1")},
	{name: "answered-sidecar", reason: responder.Answered, asked: by("", "pod", "who-has 10.245.0.1 tell 10.245.0.2")},
	{
		name: "answered-sidecar-neighbour", reason: responder.Answered,
		asked: by("", "pod", "who-has 10.245.0.2 tell 10.245.0.1"),
		in:    behind(registry.MAC{2, 0, 6, 0xde, 0x5a, 0xa8}),
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
	{
		name: "dhcp-client-open", reason: responder.DHCPClient,
		asked: by("vnet6", "leased", "IP 0.0.0.0.68 > 255.255.255.255.67: UDP, length 300 from 02:00:09:de:54:a8"),
	},
	{
		name: "unregistered-sender-sources", reason: responder.UnregisteredSender,
		asked: by("vnet6", "leased", "who-has 10.249.0.1 tell 10.249.0.2, length 28 from 02:00:09:de:54:a8"),
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
		in:    func(p *config.Ingress) { p.HostMAC = registry.MAC{2, 0, 0, 0xde, 0x54, 0xa8} },
	},
	{
		name: "group-destination", reason: responder.GroupDestination,
		asked: by("vnet2", "", "IP 10.239.0.101.5353 > 224.0.0.251.5353: UDP, length 40"),
	},
	{
		name: "unknown-destination", reason: responder.UnknownDestination,
		asked: by("vnet2", "", "ip 10.239.0.101 > 10.239.0.9 to 02:00:09:de:54:a8"),
	},
	{
		name: "foreign-destination", reason: responder.ForeignDestination,
		asked: by("vnet2", "", "ip 10.239.0.101 > 192.0.2.1 to 02:00:07:de:54:a8"),
	},
	{
		name: "foreign-destination-no-gateway", reason: responder.ForeignDestination,
		asked: by("vnet2", "six", "ip 10.242.0.1 > 192.0.2.1 to 02:00:00:de:57:a8"),
	},
	{
		name: "foreign-destination-group", reason: responder.ForeignDestination,
		asked: by("vnet2", "", "ip 10.239.0.101 > 224.0.0.251 to 02:00:00:de:54:a8"),
	},
	{
		name: "foreign-destination-tunnel", reason: responder.ForeignDestination,
		asked: by("vnet2", "", "IP 10.239.0.101.40000 > 192.0.2.1.4789: VXLAN, flags [I] (0x08), vni 10 to 02:00:00:de:54:a8"),
		in: func(p *config.Ingress) {
			p.HostMAC = registry.MAC{2, 0, 0, 0xde, 0x54, 0xa8}
			p.Network.Policy.HostTunnels = true
		},
	},
	{
		name: "foreign-destination-uplink", reason: responder.ForeignDestination,
		asked: by("eth1", "", "ip 192.0.2.1 > 10.239.0.255 from 02:00:00:de:54:a8 to 02:00:06:de:54:a8"),
	},
	{
		name: "invalid-dhcp", reason: responder.InvalidDHCP,
		asked: by("vnet2", "", "IP 0.0.0.0.68 > 255.255.255.255.67: BOOTP/DHCP, Request from 02:00:07:de:54:a8, length 300"+web),
	},
	{
		name: "invalid-dhcp-server", reason: responder.InvalidDHCP,
		asked: by("vnet2", "", "IP 10.239.0.101.67 > 10.239.0.102.68: UDP, length 300"),
	},
	{
		name: "spoofed-source-macvlan", reason: responder.SpoofedSource,
		asked: by("br0", "", "ip 10.239.0.9 > 10.239.0.101 from 02:00:09:de:54:a8"),
		in:    func(p *config.Ingress) { p.HostMAC = registry.MAC{2, 0, 0, 0xde, 0x54, 0xa8} },
	},
	{
		name: "dhcp-client-uplink", reason: responder.DHCPClient,
		asked: by("eth1", "", "IP 0.0.0.0.68 > 255.255.255.255.67: UDP, length 300 from 02:00:0c:de:54:a8"),
	},
	{name: "admitted", reason: responder.Admitted, asked: by("vnet2", "", "ip 10.239.0.101 > 10.239.0.102")},
	{
		name: "admitted-router", reason: responder.Admitted,
		asked: by("vnet5", "routed", "ip 10.9.0.7 > 10.247.0.2 from 02:00:00:de:5c:a8"),
	},
	{
		name: "not-holder", reason: responder.NotHolder,
		asked: by("vnet6", "routed", "ARP, Request who-has 10.247.0.1 tell 10.247.0.3, length 28 from 02:00:06:de:5c:a8"),
	},
	{
		name: "not-holder-ipv4", reason: responder.NotHolder,
		asked: by("vnet6", "routed", "ip 10.247.0.3 > 10.247.0.1 from 02:00:06:de:5c:a8"),
	},
	{
		name: "announcement-holder", reason: responder.Announcement,
		asked: by("vnet6", "routed", "ARP, Request who-has 10.247.0.3 tell 10.247.0.3, length 28 from 02:00:06:de:5c:a8"),
	},
	{
		name: "admitted-to-router", reason: responder.Admitted,
		asked: by("vnet6", "routed", "ip 10.247.0.2 > 10.8.0.7 to 02:00:00:de:5c:a8"),
	},
	{
		name: "unregistered-source-router", reason: responder.UnregisteredSource,
		asked: by("vnet5", "routed", "ip 8.8.8.8 > 10.247.0.2 from 02:00:00:de:5c:a8"),
	},
	{name: "admitted-gateway", reason: responder.Admitted, asked: by("vnet2", "lab", "ip 10.239.0.101 > 192.0.2.1")},
}

// behind makes a frame enter from outside a sidecar, whose guest has the MAC.
func behind(owner registry.MAC) func(*config.Ingress) {
	return func(p *config.Ingress) { p.Owner, p.Kind = owner, responder.GuestPort }
}

const ask = "who-has 10.239.0.102 tell 10.239.0.101"

// by returns a question about a line on a port, in the named network.
func by(port, network, line string) explain.Question {
	if network == "" && port == "vnet2" {
		network = "lab"
	}
	return explain.Question{Network: network, Port: port, Line: line}
}

func inHex(frame string) explain.Question {
	return explain.Question{Network: "lab", Port: "vnet2", Hex: frame}
}

// TestExplain compares every explanation with the file of its name.
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
	for reason := range responder.Reasons() {
		if !seen[reason] && reason != responder.MisplacedChecksum { // the bytes of a frame do not show it
			t.Errorf("no explanation has the reason %s", reason)
		}
	}
}

// TestJSON pins the keys that programs depend on.
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

// answer answers a question, with the facts of a running fabric if the question has them.
func answer(t *testing.T, networks []config.Network, q question) explain.Explanation {
	t.Helper()
	if q.in == nil {
		e, err := q.asked.Answer(networks)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	ingresses, err := explain.Ingresses(networks, q.asked.Network, q.asked.Port)
	if err != nil {
		t.Fatal(err)
	}
	q.in(&ingresses[0])
	e, err := q.asked.AnswerAt(ingresses)
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

// TestMistakes asks invalid questions.
func TestMistakes(t *testing.T) {
	networks := load(t)
	const add = "; add its MAC at the end: from 02:00:06:de:54:a8"
	tests := []struct {
		asked explain.Question
		want  string
	}{
		{by("", "", ask), "the configuration has arponly, free, lab, lan, leased, open, out, pod, proxmox, routed, six; choose one with --network"},
		{
			by("vnet9", "", ask),
			"the configuration does not tell which network vnet9 belongs to; " +
				"choose one of arponly, free, lab, lan, leased, open, out, pod, proxmox, routed, six with --network",
		},
		{by("", "red", ask), "no network red; the configuration has arponly, free, lab, lan, leased, open, out, pod, proxmox, routed, six"},
		{by("", "lab", ask), "br0 has several ports; name the ingress port with --port"},
		{by("vnet3", "out", ask), "network out is on eth2: frames enter there, not at vnet3"},
		{
			by("vnet3", "", "who-has 10.239.0.1 tell 10.239.0.9"),
			"10.239.0.9 has no binding in network lab, so the line does not identify the sender" + add,
		},
		{
			by("vnet3", "", "who-has 10.239.0.1 tell 0.0.0.0"),
			"0.0.0.0 has no MAC, so the line does not identify the sender" + add,
		},
		{by("vnet3", "", "ethertype 0x88cc, length 0"), "the line does not name the sender" + add},
		{
			by("vnet3", "", "ip 10.239.0.101 > 10.239.0.9"),
			"10.239.0.9 has no binding in network lab, so a guest finds no MAC to send to; " +
				"to explain the frame all the same, add one: to 02:00:00:de:54:a8",
		},
		{
			by("eth3", "", "ip 10.245.0.2 > 10.245.0.1"),
			"only ARP can be explained on a sidecar; of other frames, the kernel lets IPv4 from its guest's own addresses " +
				"and DHCP leave eth3 (nft list table netdev arpfabric)",
		},
		{inHex("0"), "the frame ends in half a byte: it has 1 hexadecimal digits"},
		{inHex("02 xx"), `the frame is not hexadecimal: it contains 'x'`},
	}
	for _, tt := range tests {
		if e, err := tt.asked.Answer(networks); err == nil || err.Error() != tt.want {
			t.Errorf("%+v: %s, %v\nwant %s", tt.asked, e.Reason, err, tt.want)
		}
	}
}

// TestCheckPort asks a running fabric about ports that it may not have.
func TestCheckPort(t *testing.T) {
	networks := load(t)
	many := make([]string, 30)
	for i := range many {
		many[i] = fmt.Sprintf("vnet%d", i)
	}
	tests := []struct {
		port  string
		ports []string
		want  string
	}{
		{"", []string{"vnet2"}, ""},
		{"vnet2", []string{"eth1", "vnet2"}, ""},
		{"br0", []string{"vnet2"}, ""}, // with guard: none, the fabric does not see the host
		{"vnet3", []string{"br0", "eth1", "vnet2"}, "there is no port vnet3; the ports are br0, eth1, vnet2"},
		{"vnet99", many, "there is no port vnet99; the ports are vnet0, vnet1, vnet2, vnet3, vnet4, vnet5, vnet6, vnet7, vnet8, vnet9, " +
			"vnet10, vnet11, vnet12, vnet13, vnet14, vnet15, vnet16, vnet17, vnet18, vnet19 and 10 more, which 'arpfabric ports' lists"},
		{"tap100i0", []string{"fwpr100p0", "fwpr101p0"}, "tap100i0 is not a port: with Proxmox's firewall, its frames enter the bridge by " +
			"fwpr100p0; explain with --port fwpr100p0"},
		{"tap102i0", []string{"fwpr100p0"}, "there is no port tap102i0; the ports are fwpr100p0"},
	}
	for _, tt := range tests {
		got := ""
		if err := (explain.Question{Port: tt.port}).CheckPort(networks, tt.ports); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %s\nwant %s", tt.port, got, tt.want)
		}
	}
}

// TestTenants asks about ports of several networks. The frame's tag must identify the network, or the user must name it.
func TestTenants(t *testing.T) {
	cfg, err := config.Load("testdata/tenants.yaml")
	if err != nil {
		t.Fatal(err)
	}
	by := func(port, line string) explain.Question { return explain.Question{Port: port, Line: line} }
	const ask = "who-has 10.239.0.101 tell 10.239.0.1"
	ingresses, err := explain.Ingresses(cfg.Networks, "", "eth1")
	if err != nil {
		t.Fatal(err)
	}
	untagged := slices.Clone(ingresses)
	untagged[0].Trunk = false
	tests := []struct {
		asked     explain.Question
		ingresses []config.Ingress // nil for those of the configuration
		want      string           // the network, or the error
	}{
		{by("eth1", "vlan 10, "+ask), nil, "blue"},
		{by("eth1", "vlan 20, "+ask), nil, "red"},
		{explain.Question{Port: "eth1", Hex: "ffffffffffff 020000de54a8 8100 6014 0800"}, nil, "red"},
		{by("br0.10", ask), nil, "blue"},
		{by("vnet2", ask), nil, "red"},
		{by("eth1", ask), untagged, "blue"},
		{by("eth1", "vlan 20, "+ask), untagged, "red"},
		{by("eth1", ask), nil, "eth1 may belong to blue, red; choose one with --network"},
		{by("eth1", "vlan 30, "+ask), nil, "eth1 may belong to blue, red; choose one with --network"},
		{by("br0", "vlan 10, "+ask), nil, "blue"}, // the host's: tagged on the bridge
		{by("br0", "vlan 20, "+ask), nil, "red"},
		{by("br0", ask), nil, "br0 may belong to blue, red; choose one with --network"},
		{by("eth1", "vlan 10, "+ask), untagged, "eth1 may belong to blue, red; choose one with --network"},
		{explain.Question{Port: "eth1", Hex: "0"}, nil, "the frame ends in half a byte: it has 1 hexadecimal digits"},
		{
			by("eth1", "who"), nil,
			`want who-has, not "who"; write, for example, "who-has 10.239.0.102 tell 10.239.0.101"`,
		},
	}
	for _, tt := range tests {
		e, err := tt.asked.Answer(cfg.Networks)
		if tt.ingresses != nil {
			e, err = tt.asked.AnswerAt(tt.ingresses)
		}
		if got := cmp.Or(e.Network, fmt.Sprint(err)); got != tt.want {
			t.Errorf("%+v: %s; want %s", tt.asked, got, tt.want)
		}
	}
}

// FuzzExplain explains any frame, and expects the verdict of Decide.
func FuzzExplain(f *testing.F) {
	networks := load(f)
	for _, q := range questions {
		ingresses, err := explain.Ingresses(networks, q.asked.Network, q.asked.Port)
		if err != nil {
			f.Fatal(err)
		}
		n := ingresses[0].Network
		frame, _, err := explain.FrameOf(ingresses[0], q.asked.Line)
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
		ingresses, err := explain.Ingresses([]config.Network{n}, "", port)
		if err != nil {
			return
		}
		in := ingresses[0]
		e, err := explain.Explain(in, frame)
		if err != nil {
			return
		}
		r := responder.New(n.Registry, n.Policy)
		want := r.Decide(in.Ingress, frame, make([]byte, responder.MaxReplyLen))
		if e.Action != want.Action.String() || e.Reason != want.Reason.String() {
			t.Errorf("%s, %s; want %s, %s", e.Action, e.Reason, want.Action, want.Reason)
		}
		if err := e.Print(io.Discard); err != nil {
			t.Error(err)
		}
	})
}

// TestAllocationAdvice checks that nobody is told to write in the origin of an allocation: there is no such file.
func TestAllocationAdvice(t *testing.T) {
	mac, addr := registry.MAC{2, 0, 2, 0xde, 0x54, 0xa8}, netip.MustParseAddr("10.239.0.2")
	one := store.Allocation{Network: "lab", Address: addr, MAC: mac, Name: "web", Port: "vnet1", Revision: 7}
	r, err := registry.New(slices.Values([]registry.Binding{one.Binding()}))
	labtest.Must(t, err)
	networks := []config.Network{{
		Name: "lab", Mode: config.VPC, Guard: config.GuardFull, Registry: r,
		Attach: config.Attachment{Kind: config.AttachBridge, Bridge: "br0"},
	}}
	for frame, want := range map[string]string{
		"who-has 10.239.0.1 tell 10.239.0.2 from 02:00:02:de:54:a8": "allocate the address again: arpfabric free --network lab 10.239.0.2 && " +
			"arpfabric allocate --network lab --address 10.239.0.2 --mac 02:00:02:de:54:a8 --name web --port vnet2; or change it with a " +
			"PUT to /v1/networks/lab/bindings/10.239.0.2; only if the guest has moved there",
		"who-has 10.239.0.1 tell 10.239.0.2 from 02:00:03:de:54:a8": "change the MAC of the allocation to 02:00:03:de:54:a8 with a PUT to " +
			"/v1/networks/lab/bindings/10.239.0.2, if the address belongs to the sender",
	} {
		q := by("vnet2", "lab", frame)
		x, err := q.Answer(networks)
		labtest.Must(t, err)
		if !slices.Contains(x.Change, want) {
			t.Errorf("%s: %q", frame, x.Change)
		}
	}
}

// TestLeaseAdvice checks that nobody is told to write in a server's leases.
func TestLeaseAdvice(t *testing.T) {
	addr := netip.MustParseAddr("10.239.0.2")
	leased := registry.Binding{
		First: addr, Last: addr, MAC: registry.MAC{2, 0, 2, 0xde, 0x54, 0xa8}, Origin: registry.Origin{Source: "/leases", Line: 3},
	}
	r, err := registry.New(slices.Values([]registry.Binding{leased}))
	labtest.Must(t, err)
	networks := []config.Network{{
		Name: "lab", Mode: config.VPC, Guard: config.GuardFull, Registry: r, Sources: []config.Source{{Kind: config.DnsmasqLeases, Of: "/leases"}},
		Attach: config.Attachment{Kind: config.AttachBridge, Bridge: "br0"},
	}}
	x, err := by("vnet2", "lab", "who-has 10.239.0.1 tell 10.239.0.2 from 02:00:03:de:54:a8").Answer(networks)
	labtest.Must(t, err)
	want := "let the sender get an address of its own as others do: /leases:3 gives this one to 02:00:02:de:54:a8"
	if !slices.Contains(x.Change, want) || len(x.Notes) != 0 {
		t.Errorf("%q, notes %q", x.Change, x.Notes)
	}
}
