package tcpdump_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/tcpdump"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

func TestParse(t *testing.T) {
	const macs = "020006de54a8 020007de54a8 "
	const packet = "0806 0001 0800 06 04 "
	tests := []struct{ line, want string }{ // in hexadecimal
		{
			"who-has 10.239.0.102 tell 10.239.0.101 from 02:00:07:de:54:a8 to 02:00:06:de:54:a8",
			macs + packet + "0001 020007de54a8 0aef0065 000000000000 0aef0066",
		},
		{
			"10:30:03.141592 ARP, Request who-has 10.239.0.102 (ff:ff:ff:ff:ff:ff) tell 0.0.0.0, length 30 to 0200.06de.54a8",
			"020006de54a8 000000000000" + packet + "0001 000000000000 00000000 ffffffffffff 0aef0066 0000",
		},
		{
			"arp, reply 10.239.0.102 is-at 02:00:07:de:54:a8",
			"000000000000 020007de54a8" + packet + "0002 020007de54a8 0aef0066 000000000000 00000000",
		},
		{
			"02:00:09:de:54:a8 > 02:00:06:de:54:a8, ethertype ARP (0x0806), length 42: " +
				"Reply 10.239.0.102 is-at 02:00:07:de:54:a8, length 28",
			"020006de54a8 020009de54a8" + packet + "0002 020007de54a8 0aef0066 000000000000 00000000",
		},
		{
			"Reply 10.239.0.102 is-at 02:00:07:de:54:a8, length 28 from 02:00:09:de:54:a8",
			"000000000000 020009de54a8" + packet + "0002 020007de54a8 0aef0066 000000000000 00000000",
		},
		{
			"vlan 5, vlan 4095, Reverse Reply 02:00:07:de:54:a8 at 10.239.0.102",
			"000000000000 000000000000 81000005 81000fff" + packet + "0004 000000000000 00000000 020007de54a8 0aef0066",
		},
		{
			"Inverse Request who-is 02:00:07:de:54:a8 tell 02:00:06:de:54:a8",
			"000000000000 020006de54a8" + packet + "0008 020006de54a8 00000000 020007de54a8 00000000",
		},
		{"Unknown (300)", "000000000000 000000000000" + packet + "012c" + strings.Repeat("00", 20)},
		{
			"ip 10.239.0.101 > 10.239.0.102 from 02:00:07:de:54:a8 to 02:00:06:de:54:a8",
			macs + "0800 4500001c00000000 4001 0000 0aef0065 0aef0066 0000000000000000",
		},
		{
			"IP 0.0.0.0.68 > 255.255.255.255.67: UDP, length 1",
			"000000000000 000000000000 0800 4500001d00000000 4011 0000 00000000 ffffffff 0044 0043 0009 0000 00",
		},
		{
			"IP 10.239.0.101.0 > 10.239.0.102.80: TCP, length 0",
			"000000000000 000000000000 0800 4500002800000000 4006 0000 0aef0065 0aef0066 0000 0050 0000000000000000 50 00000000000000",
		},
		{
			"IP 10.239.0.101 > 10.239.0.102: UDP, length 1",
			"000000000000 000000000000 0800 4500001500000001 4011 0000 0aef0065 0aef0066 00",
		},
		{
			"IP6 fe80::1 > ff02::2, length 1",
			"000000000000 000000000000 86dd 60000000 0001 3b 40 fe800000000000000000000000000001 ff020000000000000000000000000002 00",
		},
		{"ethertype 0x88cc, length 2", "000000000000 000000000000 88cc 0000"},
		{"LLC, length 3", "000000000000 000000000000 0003 000000"},
		{
			"IP 10.239.0.101.5000 > 10.239.0.102.53: 12345+ A? example.com. (29) to 02:00:07:de:54:a8",
			"020007de54a8 000000000000 0800 4500001c00000000 4011 0000 0aef0065 0aef0066 1388 0035 0008 0000",
		},
		{
			"IP6 fe80::1.5353 > ff02::fb.5353: 0 [2q] PTR (QM)? _a._tcp.local. (1)",
			"000000000000 000000000000 86dd 60000000 0000 3b 40 fe800000000000000000000000000001 ff0200000000000000000000000000fb",
		},
		{
			"02:00:06:de:54:a8 > 02:00:07:de:54:a8, ethertype 802.1Q-QinQ (0x88a8), length 22: vlan 7, p 3, DEI, " +
				"ethertype 802.1Q (0x8100), vlan 5, p 0, ethertype LLDP (0x88cc), LLDP, length 0",
			"020007de54a8 020006de54a8 88a87007 81000005 88cc",
		},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			p, err := tcpdump.Parse(tt.line)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Join(strings.Fields(tt.want), "")
			if got := hex.EncodeToString(p.Frame()); got != want {
				t.Errorf("\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestParseAsPrinted parses lines as tcpdump prints them with its usual options, and describes their frames.
func TestParseAsPrinted(t *testing.T) {
	const ask = "ARP, Request who-has 10.239.0.1 tell 10.239.0.101, length 28"
	const padded = "ARP, Request who-has 10.239.0.1 tell 10.239.0.101, length 46"
	const web, db, all = "02:00:06:de:54:a8", "02:00:07:de:54:a8", "ff:ff:ff:ff:ff:ff"
	tests := []struct{ name, line, frame, from, to string }{
		{"-i any", "05:48:48.939893 eth0  Out ARP, Request who-has 10.239.0.1 tell 10.239.0.101, length 28", ask, "", ""},
		{
			"-tttt -i any", "2026-11-27 05:48:48.939893 vnet1 In  ARP, Request who-has 10.239.0.1 tell 10.239.0.101, length 46",
			padded, "", "",
		},
		{
			"-e -i any", "05:48:48.9 vnet1 B   ifindex 5 02:00:06:de:54:a8 ethertype ARP (0x0806), length 48: " +
				"Request who-has 10.239.0.1 tell 10.239.0.101, length 28", ask, web, "",
		},
		{
			"-v", "05:48:48.9 ARP, Ethernet (len 6), IPv4 (len 4), Request who-has 10.239.0.1 tell 10.239.0.101, length 28",
			ask, "", "",
		},
		{"-tt", "1764222528.939893 ARP, Request who-has 10.239.0.1 tell 10.239.0.101, length 28", ask, "", ""},
		{
			"-e, a tag", "02:00:06:de:54:a8 > ff:ff:ff:ff:ff:ff, ethertype 802.1Q (0x8100), length 64: vlan 10, p 0, " +
				"ethertype ARP (0x0806), Request who-has 10.239.0.1 tell 10.239.0.101, length 46", "vlan 10, " + padded, web, all,
		},
		{
			"-e, TCP", "02:00:06:de:54:a8 > 02:00:07:de:54:a8, ethertype IPv4 (0x0800), length 74: " +
				"10.239.0.101.5000 > 10.239.0.102.80: Flags [S], seq 1, win 64240, length 0",
			"IP 10.239.0.101.5000 > 10.239.0.102.80: TCP, length 0", web, db,
		},
		{
			"TCP", "IP 10.239.0.101.5000 > 10.239.0.102.80: Flags [S], seq 1, win 64240, length 0",
			"IP 10.239.0.101.5000 > 10.239.0.102.80: TCP, length 0", "", "",
		},
		{
			"TCP, with its content, and MACs", "IP 10.239.0.101.5000 > 10.239.0.102.80: Flags [P.], seq 1:79, ack 1, " +
				"win 64240, length 78: HTTP: GET / HTTP/1.1 from " + web + " to " + db,
			"IP 10.239.0.101.5000 > 10.239.0.102.80: TCP, length 78", web, db,
		},
		{
			"ICMP", "IP 10.239.0.101 > 10.239.0.102: ICMP echo request, id 1, seq 1, length 64",
			"IP 10.239.0.101 > 10.239.0.102: ICMP, length 64", "", "",
		},
		{
			"-e, DHCP", "02:00:06:de:54:a8 > ff:ff:ff:ff:ff:ff, ethertype IPv4 (0x0800), length 342: 0.0.0.0.68 > 255.255.255.255.67: " +
				"BOOTP/DHCP, Request from 02:00:06:de:54:a8, length 300",
			"IP 0.0.0.0.68 > 255.255.255.255.67: UDP, length 300", web, all,
		},
		{
			"DHCP", "IP 0.0.0.0.68 > 255.255.255.255.67: BOOTP/DHCP, Request from 02:00:06:de:54:a8, length 300",
			"IP 0.0.0.0.68 > 255.255.255.255.67: UDP, length 300", web, "",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := tcpdump.Parse(tt.line)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.Contains(tt.line, "eth0  Out"); (p.Left == "eth0") != want {
				t.Errorf("it left by %q", p.Left)
			}
			if got := responder.Describe(p.Frame()); got != tt.frame {
				t.Errorf("%s; want %s", got, tt.frame)
			}
			if text(p.From) != tt.from || text(p.To) != tt.to {
				t.Errorf("from %s to %s; want from %s to %s", text(p.From), text(p.To), tt.from, tt.to)
			}
		})
	}
}

func text(mac *registry.MAC) string {
	if mac == nil {
		return ""
	}
	return mac.String()
}

// TestParseDHCP expects the client's MAC in a DHCP message (chaddr): the one in the line, or else the Ethernet source.
func TestParseDHCP(t *testing.T) {
	const broadcast = "IP 0.0.0.0.68 > 255.255.255.255.67: "
	for line, want := range map[string]string{
		broadcast + "BOOTP/DHCP, Request from 02:00:07:de:54:a8, length 300 from 02:00:06:de:54:a8": "020007de54a8",
		broadcast + "BOOTP/DHCP, Request from 02:00:07:de:54:a8, length 300":                        "020007de54a8",
		broadcast + "UDP, length 300 from 02:00:06:de:54:a8":                                        "020006de54a8",
	} {
		p, err := tcpdump.Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		const message = 14 + 20 + 8 // after the headers of Ethernet, IPv4 and UDP
		frame := p.Frame()
		if got := hex.EncodeToString(frame[message+28 : message+34]); got != want || hex.EncodeToString(frame[message:message+4]) != "01010600" {
			t.Errorf("%s: %s in %x; want %s", line, got, frame[message:message+34], want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	const example = `; write, for example, "who-has 10.239.0.102 tell 10.239.0.101"`
	tests := []struct{ line, want string }{
		{"", `want who-has, not the end` + example},
		{"who-is 10.239.0.102", `want who-has, not "who-is"` + example},
		{"who-has 10.239.0.300 tell 10.239.0.101", `want an IPv4 address, not "10.239.0.300"` + example},
		{"who-has 10.239.0.102", `want tell, not the end` + example},
		{"who-has fe80::1 tell fe80::2", `want an IPv4 address, not "fe80::1"` + example},
		{"who-has 10.239.0.102 (ff:ff) tell 10.239.0.101", `want a MAC, such as 02:00:06:de:54:a8, not "ff:ff"` + example},
		{"who-has 10.239.0.102 tell 10.239.0.101 by vnet3", `want the end, from MAC or to MAC, not "by"` + example},
		{
			"who-has 10.239.0.102 tell 10.239.0.101, length 27",
			"an ARP packet has at least 28 bytes, not 27; write a truncated one in hexadecimal",
		},
		{"Unknown 7", `want the operation's number in parentheses, not "7"` + example},
		{"vlan 4096, who-has 10.239.0.102 tell 10.239.0.101", `want a number from 0 to 4095, not "4096,"` + example},
		{"malformed ARP, length 3", `cannot make a malformed frame from its description; write it in hexadecimal`},
		{
			"02:00:09:de:54:a8 > 02:00:06:de:54:a8, ethertype IPv4, length 42: 10.239.0.101 > 10.239.0.102: ICMP",
			`want an EtherType, such as 0x88cc, not the end` + example,
		},
		{"IP (tos 0x0, ttl 64", "want ), not the end" + example},
		{"ip 10.239.0.101", `want >, not the end` + example},
		{
			"ip 10.239.0.101.68 > 10.239.0.102",
			"want a port for both addresses or for neither, as in 10.239.0.101.68 > 10.239.0.102.67",
		},
		{"ip 10.239.0.101.68 > 10.239.0.102.67: ICMP", "only UDP and TCP have ports"},
		{"ip 10.239.0.101 > 10.239.0.102: ICMP, length 65516", "want a length of at most 65515, not 65516"},
		{"ip6 10.239.0.101 > ::1", `want an IPv6 address, not "10.239.0.101"` + example},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			p, err := tcpdump.Parse(tt.line)
			if err == nil || err.Error() != tt.want {
				t.Errorf("%+v, %v\nwant %s", p, err, tt.want)
			}
		})
	}
}

func TestExamples(t *testing.T) {
	for _, line := range tcpdump.Examples {
		if _, err := tcpdump.Parse(line); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// FuzzParse parses any line, and expects Describe and Parse to be inverse for its frame.
func FuzzParse(f *testing.F) {
	for _, line := range tcpdump.Examples {
		f.Add(line)
	}
	for _, line := range []string{
		"vlan 5, ARP, Request who-has 10.239.0.102 (ff:ff:ff:ff:ff:ff) tell 10.239.0.101, length 46", "malformed ARP, length 0",
		"Reverse Request who-is 02:00:07:de:54:a8 tell 02:00:06:de:54:a8", "Unknown (9)",
		"02:00:09:de:54:a8 > 02:00:06:de:54:a8, ethertype ARP (0x0806), length 42: Request who-has 10.0.0.1 tell 0.0.0.0", "LLC, length 1501",
		"IP 10.239.0.101.68 > 10.239.0.102.67: UDP, length 3", "IP6 :: > ::, length 0", "ethertype 0x0800, length 60000",
		"05:48:48.9 eth0  Out ARP, Ethernet (len 6), IPv4 (len 4), Request who-has 10.0.0.1 tell 10.0.0.2, length 28",
		"02:00:06:de:54:a8 > ff:ff:ff:ff:ff:ff, ethertype 802.1Q (0x8100), length 64: vlan 10, p 0, ethertype IPv6 (0x86dd), ::1 > ::2: x",
		"IP (tos 0x0) 0.0.0.0.68 > 255.255.255.255.67: BOOTP/DHCP, Request from 02:00:06:de:54:a8, length 300",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		p, err := tcpdump.Parse(line)
		if err != nil {
			return
		}
		checkReadBack(t, p.Frame())
	})
}

// FuzzReadBack does the same for any frame.
func FuzzReadBack(f *testing.F) {
	for _, line := range tcpdump.Examples {
		p, err := tcpdump.Parse(line)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p.Frame())
	}
	f.Fuzz(checkReadBack)
}

// checkReadBack expects the description of a frame to be parsed into a frame with the same description, and the
// description of a malformed frame to be an error.
func checkReadBack(t *testing.T, frame []byte) {
	words := responder.Describe(frame)
	p, err := tcpdump.Parse(words)
	switch {
	case strings.Contains(words, "malformed"):
		if err == nil {
			t.Errorf("%q is parsed as %+v", words, p)
		}
	case isOverlong(frame, words):
	case err != nil:
		t.Errorf("%q: %v", words, err)
	case responder.Describe(p.Frame()) != words:
		t.Errorf("%q is parsed as %q", words, responder.Describe(p.Frame()))
	}
}

// isOverlong reports whether the frame is too long for Parse: longer than any frame, or of TCP with a header that is too
// short.
func isOverlong(frame []byte, words string) bool {
	return len(frame) > 0xffff || strings.Contains(words, "TCP, length 65")
}
