package responder_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// The choices of FuzzDecide, apart from the frame, one bit each.
const (
	uplink = 1 << iota
	trunk
	overLimit
	elsewhere // the port is not the one that 10.239.0.103 is tied to
	anySender
	ignoreSelfProbe
	deny
	host // 10.239.0.60 is the host's own address
)

// FuzzDecide checks the invariants of the decision on any frame and policy: above all, every reply has a binding behind
// it, and goes to the requester only. Each file in testdata is a frame of one reason or kind.
func FuzzDecide(f *testing.F) {
	f.Fuzz(func(t *testing.T, frame []byte, choice uint8) {
		chosen := func(bit uint8) bool { return choice&bit != 0 }
		in := responder.Ingress{Port: "vnet3", Trunk: chosen(trunk), RateLimited: chosen(overLimit)}
		if chosen(uplink) {
			in.Kind = responder.Uplink
		}
		if chosen(elsewhere) {
			in.Port = "vnet4"
		}
		policy := responder.Policy{AnySender: chosen(anySender), IgnoreSelfProbe: chosen(ignoreSelfProbe)}
		if chosen(deny) {
			policy.DenyMAC = denyMAC
		}
		if chosen(host) {
			policy.Host = []netip.Addr{ip("10.239.0.60")}
		}
		n := fabric(t, policy)
		v, answer := decide(t, n, in, frame)
		checkEnumerations(t, v, in, policy)
		if id := responder.SenderIdentityOf(frame); v.AnnouncesHolder && (v.Action == responder.Reply || id.Sender != id.Target ||
			!n.Registry().IsCandidate(registry.IPv4Of(id.Sender), id.MAC, in.Port)) {
			t.Errorf("%s, %s makes %s the holder of %s", v.Action, v.Reason, id.MAC, id.Sender)
		}
		if v.Action == responder.Reply {
			checkReply(t, n, v, in, frame, answer)
		}
		what := responder.Describe(frame)
		malformed, isARP := strings.HasPrefix(what, "malformed ARP"), strings.Contains(what, "ARP, ")
		if (v.Reason == responder.NotARP) == isARP || (v.Reason == responder.Malformed) != malformed {
			t.Errorf("the verdict is %s, the description %q", v.Reason, what)
		}
	})
}

// checkEnumerations expects a known reason, with an action that it can have.
func checkEnumerations(t *testing.T, v responder.Verdict, in responder.Ingress, policy responder.Policy) {
	t.Helper()
	want := responder.Drop
	switch v.Reason {
	case responder.NotARP, responder.HostAddress:
		want = responder.Pass
	case responder.GuestReply:
		if in.Kind == responder.Uplink {
			want = responder.Pass
		}
	case responder.SelfProbe:
		if !policy.IgnoreSelfProbe {
			want = responder.Reply
		}
	case responder.UnallocatedProbe, responder.ConflictProbe, responder.Answered:
		want = responder.Reply
	}
	if !slices.Contains(allReasons, v.Reason) || v.Action != want {
		t.Errorf("verdict is %s, %s; want %s", v.Action, v.Reason, want)
	}
}

// checkReply expects the answer of the owner of the requested address, sent to the requester.
func checkReply(t *testing.T, n network, v responder.Verdict, in responder.Ingress, frame, answer []byte) {
	t.Helper()
	header := frame[:12] // with the tag
	if in.Trunk && (frame[12] == 0x81 || frame[12] == 0x88) {
		header = frame[:16]
	}
	packet := frame[len(header)+2:]
	senderMAC, senderIP, targetIP := packet[8:14], packet[14:18], packet[24:28]

	owner := n.policy.DenyMAC
	b, bound := n.Registry().Lookup(netip.AddrFrom4([4]byte(targetIP)))
	if bound == (v.Reason == responder.UnallocatedProbe) {
		t.Fatalf("%s for %v, bound: %v", v.Reason, targetIP, bound)
	}
	if bound {
		owner = b.MAC
	}
	if !owner.IsUnicast() {
		t.Fatalf("%s answers, for %v", owner, targetIP)
	}

	var want bytes.Buffer
	want.Write(frame[6:12])
	want.Write(owner[:])
	want.Write(header[12:])
	for _, field := range []any{
		uint16(0x0806), uint16(1), uint16(0x0800), uint8(6), uint8(4), uint16(2),
		owner[:], targetIP, senderMAC, senderIP, [18]byte{},
	} {
		if err := binary.Write(&want, binary.BigEndian, field); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(answer, want.Bytes()) {
		t.Errorf("answer is\n%x; want\n%x", answer, want.Bytes())
	}
}
