package responder_test

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/arpfabric/arpfabric/responder"
)

// The choices of FuzzExplain, in addition to those of FuzzDecide, one bit each.
const (
	passIPv6 = 1 << (iota + 8)
	knownHost
	source
	oneOwner
	allowList
	carriesHost
	unknownToUplinks
	openDHCP
)

// FuzzExplain checks that the rows of Explain lead to the verdict of Decide, for any frame, port and policy: one row
// matches, it is the last, and its reason is the verdict's. If the allow-list decides, the row not-arp matches too, and
// comes first.
func FuzzExplain(f *testing.F) {
	for _, frame := range explainedFrames() {
		f.Add(frame, uint16(0))
		f.Add(frame, uint16(allowList))
		f.Add(frame, uint16(anySender|passIPv6|knownHost|allowList))
		f.Add(frame, uint16(allowList|openDHCP))
		f.Add(frame, uint16(knownHost|carriesHost))
		f.Add(frame, uint16(unknownToUplinks|allowList))
		f.Add(frame, uint16(deny|uplink|oneOwner|host))
		f.Add(frame, uint16(ignoreSelfProbe|trunk|elsewhere))
	}
	f.Fuzz(func(t *testing.T, frame []byte, choice uint16) {
		chosen := func(bit uint16) bool { return choice&bit != 0 }
		in := responder.Ingress{
			Port: "vnet3", Trunk: chosen(trunk), RateLimited: chosen(overLimit), AllowList: chosen(allowList),
			CarriesHost: chosen(carriesHost),
		}
		if chosen(uplink) {
			in.Kind = responder.Uplink
		}
		if chosen(elsewhere) {
			in.Port = "vnet4"
		}
		if chosen(knownHost) {
			in.HostMAC = gatewayMAC
		}
		if chosen(source) {
			in.Source = strangerMAC
		}
		if chosen(oneOwner) {
			in.Owner = otherMAC
		}
		policy := responder.Policy{
			AnySender: chosen(anySender), IgnoreSelfProbe: chosen(ignoreSelfProbe), PassIPv6: chosen(passIPv6),
			UnknownToUplinks: chosen(unknownToUplinks), OpenDHCP: chosen(openDHCP),
		}
		if chosen(deny) {
			policy.DenyMAC = denyMAC
		}
		if chosen(host) {
			policy.Host = []netip.Addr{ip("10.239.0.60")}
		}
		n := fabric(t, policy)
		n.record(in, frame)

		out, explained := make([]byte, responder.MaxReplyLen), make([]byte, responder.MaxReplyLen)
		decided := n.Decide(in, frame, out)
		checkExplanation(t, n.Explain(in, frame, explained), decided)
		if !bytes.Equal(out, explained) {
			t.Errorf("Decide writes\n%x, Explain\n%x", out, explained)
		}
	})
}

func checkExplanation(t *testing.T, why responder.Explanation, want responder.Verdict) {
	t.Helper()
	if why.Verdict != want {
		t.Errorf("the explained verdict is %+v; want %+v", why.Verdict, want)
	}
	last := len(why.Rows) - 1
	for i, row := range why.Rows {
		leadsOn := i == 0 && i < last && row.Reason == responder.NotARP && row.Fits && why.Rows[1].Compared == "a complete Ethernet header"
		if row.Fits != (i == last) && !leadsOn {
			t.Errorf("row %d of %d fits: %v: %+v", i+1, last+1, row.Fits, row)
		}
		if row.Compared == "" {
			t.Errorf("%s compares nothing", row.Reason)
		}
	}
	if last < 0 || why.Rows[last].Reason != want.Reason {
		t.Fatalf("the verdict is %s; the rows are %+v", want.Reason, why.Rows)
	}
}

// explainedFrames returns a frame of each kind that the tables distinguish.
func explainedFrames() [][]byte {
	frames := [][]byte{
		nil, ask.bytes(), ask.tagged(0x8100_0005).bytes(), ask.tagged(0x8100_0000, 0x8100_0000).bytes(),
		request(guestMAC, noIP, guestIP).bytes(), request(guestMAC, noIP, otherIP).bytes(),
		request(guestMAC, noIP, strangerIP).bytes(), request(guestMAC, guestIP, strangerIP).bytes(),
		request(guestMAC, guestIP, guestIP).bytes(), request(strangerMAC, guestIP, otherIP).bytes(),
		request(strangerMAC, strangerIP, otherIP).bytes(), request(guestMAC, guestIP, ip("10.239.0.60")).bytes(),
		request(tiedMAC, ip("10.239.0.103"), ip("10.239.0.130")).bytes(), request(guestMAC, broadcastIP, otherIP).bytes(),
		ask.with(func(f *arpFrame) { f.operation = 2 }).bytes(), ask.with(func(f *arpFrame) { f.operation = 3 }).bytes(),
		ask.with(func(f *arpFrame) { f.src = otherMAC }).bytes(), ask.with(func(f *arpFrame) { f.hlen = 7 }).bytes(),
		request(broadcast, guestIP, otherIP).bytes(),
		datagram.bytes(), discover.bytes(), datagram.bytes()[:20],
		discover.with(func(f *ipFrame) { f.src = tiedMAC }).bytes(),
		discover.with(func(f *ipFrame) { f.src = strangerMAC }).bytes(),
		datagram.with(func(f *ipFrame) { f.src, f.srcIP = tiedMAC, ip("10.239.0.103") }).bytes(),
	}
	for _, kind := range []uint16{0x0806, 0x8035, 0x86dd, 0x88cc, 0x9100, 38} {
		frames = append(frames, datagram.with(func(f *ipFrame) { f.etherType = kind }).bytes())
	}
	for _, flaw := range allowListFlaws {
		frames = append(frames, datagram.with(flaw.change).bytes())
	}
	return frames
}

var broadcastIP = ip("255.255.255.255")
