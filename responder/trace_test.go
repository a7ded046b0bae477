package responder_test

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/arpfabric/arpfabric/responder"
)

// What FuzzTrace chooses beside what FuzzHandle does, a bit each.
const (
	passIPv6 = 1 << (iota + 8)
	knownHost
	source
	oneOwner
)

// FuzzTrace holds that the rows which Trace and TraceAdmit show lead to the verdict of Handle and Admit, whatever the
// frame, the port and the policy: one row fits, it is the last, and its reason is the verdict's.
func FuzzTrace(f *testing.F) {
	for _, frame := range tracedFrames() {
		f.Add(frame, uint16(0))
		f.Add(frame, uint16(anySender|passIPv6|knownHost))
		f.Add(frame, uint16(deny|uplink|oneOwner|host))
		f.Add(frame, uint16(ignoreSelfProbe|trunk|elsewhere))
	}
	f.Fuzz(func(t *testing.T, frame []byte, choice uint16) {
		chosen := func(bit uint16) bool { return choice&bit != 0 }
		in := responder.In{
			Port: "vnet3", Uplink: chosen(uplink), Trunk: chosen(trunk), OverLimit: chosen(overLimit),
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
		}
		if chosen(deny) {
			policy.DenyMAC = denyMAC
		}
		if chosen(host) {
			policy.Host = []netip.Addr{ip("10.239.0.60")}
		}
		r := fabric(t, policy)

		out, traced := make([]byte, responder.MaxReplyLen), make([]byte, responder.MaxReplyLen)
		handled := r.Handle(in, frame, out)
		checkTrace(t, r.Trace(in, frame, traced), handled)
		if !bytes.Equal(out, traced) {
			t.Errorf("Handle writes\n%x, Trace\n%x", out, traced)
		}
		checkTrace(t, r.TraceAdmit(in, frame), r.Admit(in, frame))
	})
}

func checkTrace(t *testing.T, trace responder.Trace, want responder.Verdict) {
	t.Helper()
	if trace.Verdict != want {
		t.Errorf("the trace's verdict is %+v; want %+v", trace.Verdict, want)
	}
	last := len(trace.Rows) - 1
	for i, row := range trace.Rows {
		if row.Fits != (i == last) {
			t.Errorf("row %d of %d fits: %v: %+v", i+1, last+1, row.Fits, row)
		}
		if row.Compared == "" {
			t.Errorf("%s compares nothing", row.Reason)
		}
	}
	if last < 0 || trace.Rows[last].Reason != want.Reason {
		t.Fatalf("the verdict is %s; the rows are %+v", want.Reason, trace.Rows)
	}
}

// tracedFrames is a frame of each kind that the tables tell apart.
func tracedFrames() [][]byte {
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
	for _, flaw := range admitFlaws {
		frames = append(frames, datagram.with(flaw.change).bytes())
	}
	return frames
}

var broadcastIP = ip("255.255.255.255")
