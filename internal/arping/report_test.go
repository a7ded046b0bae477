package arping

import (
	"encoding/json"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/arp"
)

var (
	appMAC  = registry.MAC{0x02, 0, 0x06, 0xde, 0x54, 0xa8}
	dbMAC   = registry.MAC{0x02, 0, 0x07, 0xde, 0x54, 0xa8}
	twinMAC = registry.MAC{0x02, 0, 0x08, 0xde, 0x54, 0xa8}

	appIP = netip.MustParseAddr("10.239.0.101")
	dbIP  = netip.MustParseAddr("10.239.0.102")
)

// from returns a reply for db's address.
func from(mac, source registry.MAC, latency time.Duration) reply {
	return reply{ip: dbIP, mac: mac, source: source, latency: latency}
}

// reported returns app's report on db's address, with one request for each list of replies.
func reported(requests ...[]reply) Report {
	r := Report{
		query:  Query{Address: dbIP, Timeout: time.Second},
		sender: sender{nic{Interface: net.Interface{Name: "eth0"}}, appMAC, appIP},
	}
	for _, replies := range requests {
		r.add(replies)
	}
	return r
}

func TestReport(t *testing.T) {
	const head = `{"address":"10.239.0.102","interface":"eth0","sender_mac":"02:00:06:de:54:a8","sender_ip":"10.239.0.101",`
	silence := []reply(nil)
	db := []reply{from(dbMAC, dbMAC, 85*time.Microsecond)}
	tests := []struct {
		name     string
		report   Report
		ok       bool
		text     string
		jsonTail string
	}{
		{
			"answered", reported(db), true,
			"asked 1, answered 1; latency min 85 µs, avg 85 µs, max 85 µs",
			`"asked":1,"answered":1,"conflict":false,"answerers":[{"mac":"02:00:07:de:54:a8","replies":1,` +
				`"ethernet_sources":["02:00:07:de:54:a8"]}],"latency":{"min_ns":85000,"avg_ns":85000,"max_ns":85000}}`,
		},
		{
			"interrupted at once", reported(), false,
			"interrupted before the first reply",
			`"asked":0,"answered":0,"conflict":false,"answerers":[]}`,
		},
		{
			"silence", reported(silence, silence), false,
			"asked 2, answered 0\nunanswered: 2 of 2 requests for 10.239.0.102",
			`"asked":2,"answered":0,"conflict":false,"answerers":[]}`,
		},
		{
			"silence, then an answer twice over, by one MAC",
			reported(silence, []reply{from(dbMAC, dbMAC, time.Millisecond), from(dbMAC, twinMAC, 9*time.Millisecond)}), false,
			"asked 2, answered 1; latency min 1.0 ms, avg 1.0 ms, max 1.0 ms\nunanswered: 1 of 2 requests for 10.239.0.102",
			`"asked":2,"answered":1,"conflict":false,"answerers":[{"mac":"02:00:07:de:54:a8","replies":2,` +
				`"ethernet_sources":["02:00:07:de:54:a8","02:00:08:de:54:a8"]}],` +
				`"latency":{"min_ns":1000000,"avg_ns":1000000,"max_ns":1000000}}`,
		},
		{
			"two answer", reported([]reply{from(twinMAC, twinMAC, time.Second), from(dbMAC, dbMAC, 2*time.Second)}), false,
			"asked 1, answered 1; latency min 1.00 s, avg 1.00 s, max 1.00 s\n" +
				"conflict: 2 MACs answer for 10.239.0.102: 02:00:08:de:54:a8 (1), 02:00:07:de:54:a8 (1)",
			`"asked":1,"answered":1,"conflict":true,"answerers":[` +
				`{"mac":"02:00:08:de:54:a8","replies":1,"ethernet_sources":["02:00:08:de:54:a8"]},` +
				`{"mac":"02:00:07:de:54:a8","replies":1,"ethernet_sources":["02:00:07:de:54:a8"]}],` +
				`"latency":{"min_ns":1000000000,"avg_ns":1000000000,"max_ns":1000000000}}`,
		},
		{
			"another one later", reported(db, silence, db, []reply{from(twinMAC, twinMAC, 100*time.Microsecond)}), false,
			"asked 4, answered 3; latency min 85 µs, avg 90 µs, max 100 µs\n" +
				"unanswered: 1 of 4 requests for 10.239.0.102\n" +
				"conflict: 2 MACs answer for 10.239.0.102: 02:00:07:de:54:a8 (2), 02:00:08:de:54:a8 (1)",
			`"asked":4,"answered":3,"conflict":true,"answerers":[` +
				`{"mac":"02:00:07:de:54:a8","replies":2,"ethernet_sources":["02:00:07:de:54:a8"]},` +
				`{"mac":"02:00:08:de:54:a8","replies":1,"ethernet_sources":["02:00:08:de:54:a8"]}],` +
				`"latency":{"min_ns":85000,"avg_ns":90000,"max_ns":100000}}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.report.OK(); got != tt.ok {
				t.Errorf("OK is %t", got)
			}
			if diff := cmp.Diff(tt.text, tt.report.String()); diff != "" {
				t.Error("-want +got:\n" + diff)
			}
			got, err := json.Marshal(tt.report)
			if diff := cmp.Diff(head+tt.jsonTail, string(got)); err != nil || diff != "" {
				t.Errorf("%v, -want +got:\n%s", err, diff)
			}
		})
	}
}

func TestLines(t *testing.T) {
	tests := []struct{ got, want string }{
		{from(dbMAC, dbMAC, 85*time.Microsecond).String(), "Reply 10.239.0.102 is-at 02:00:07:de:54:a8, 85 µs"},
		{
			from(dbMAC, twinMAC, 3*time.Millisecond).String(),
			"Reply 10.239.0.102 is-at 02:00:07:de:54:a8, 3.0 ms, but its Ethernet source is 02:00:08:de:54:a8",
		},
		{reported().unanswered(), "Request who-has 10.239.0.102 tell 10.239.0.101: no reply in 1s"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}

func TestInUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                         "0 µs",
		85_999:                    "85 µs",
		time.Millisecond - 1:      "999 µs",
		time.Millisecond:          "1.0 ms",
		12_399 * time.Microsecond: "12.3 ms",
		time.Second - 1:           "999.9 ms",
		time.Second:               "1.00 s",
		2*time.Minute - 1:         "119.99 s",
	} {
		if got := inUnits(d); got != want {
			t.Errorf("%d ns: %q, want %q", d, got, want)
		}
	}
}

func TestAnswers(t *testing.T) {
	tests := []struct {
		name   string
		change func(*arp.Packet)
		want   bool
	}{
		{"reply", func(*arp.Packet) {}, true},
		{"reply without a target address", func(p *arp.Packet) { p.TargetIP = netip.IPv4Unspecified() }, true},
		{"request", func(p *arp.Packet) { p.Operation = arp.OperationRequest }, false},
		{"for another address", func(p *arp.Packet) { p.SenderIP = appIP }, false},
		{"to another", func(p *arp.Packet) { p.TargetHardwareAddr = twinMAC[:] }, false},
		{"announcement", func(p *arp.Packet) { p.TargetHardwareAddr, p.TargetIP = make([]byte, 6), dbIP }, false},
		{"long MAC", func(p *arp.Packet) { p.SenderHardwareAddr = make([]byte, 8) }, false},
		{"no MAC", func(p *arp.Packet) { p.SenderHardwareAddr, p.TargetHardwareAddr = nil, nil }, false},
		{"IPv6", func(p *arp.Packet) { p.SenderIP = netip.AddrFrom16(dbIP.As16()) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := arp.NewPacket(arp.OperationReply, dbMAC[:], dbIP, appMAC[:], appIP)
			if err != nil {
				t.Fatal(err)
			}
			tt.change(p)
			r := reported()
			if got := r.answers(p); got != tt.want {
				t.Errorf("answers is %t", got)
			}
		})
	}
}
