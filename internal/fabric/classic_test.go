package fabric_test

import (
	"bytes"
	"testing"

	"github.com/arpfabric/arpfabric/responder"
)

// TestClassic holds that in classic mode frames flood as without a fabric, that the owner answers and the
// fabric does not, and that what vpc mode would have done is counted.
func TestClassic(t *testing.T) {
	each(t, attachments, func(t *testing.T, s *stage) {
		fabric := start(t, network(s.attach, "mode: classic"))
		sent := []hostile{
			{name: "a request for the gateway", frame: s.app.request(gatewayAddr).Frame(),
				reason: responder.Answered},
			{name: "a request for db", frame: s.app.request(dbAddr).Frame(), reason: responder.Answered},
			{name: "a probe", frame: vary(s.app.request(appAddr), sender(unspecified)), reason: responder.SelfProbe},
			{name: "an announcement", frame: s.app.request(appAddr).Frame(), reason: responder.Announcement},
			{name: "a tagged request", frame: tagged(s.app.request(dbAddr).Frame(), qTag),
				reason: responder.UnexpectedVLAN},
			{name: "a spoofed request", frame: vary(s.app.request(dbAddr), sender(gatewayAddr)),
				reason: responder.SpoofedSender},
		}
		want := counts{}
		for _, h := range sent {
			s.app.send(t, h.frame)
			for _, g := range []*guest{s.db, s.idle} {
				eventually(t, g.Name+" hears "+h.name, func() bool { return g.hasSeen(h.frame) })
			}
			want[h.reason]++
			fabric.expectCounts(t, s.port, want, h.name)
		}
		eventually(t, "db itself answers", func() bool { return len(s.app.heard()) > 0 })
		sendMark(t, s.db, s.app, 1)
		if answers := s.app.answers(); len(answers) > 0 {
			t.Errorf("the fabric answers: %x", answers)
		}
	})
}

// TestClassicFloods holds that all that nobody hears in vpc mode is heard in classic mode, and is counted for
// the same reasons: what does not cross a guarded bridge would cross another.
func TestClassicFloods(t *testing.T) {
	s := build(t, onBridge)
	fabric := start(t, network(s.attach, "mode: classic"))
	want := counts{}
	for i, h := range hostileFrames(s) {
		if isLinkLocal(h.frame) {
			continue
		}
		s.app.send(t, h.frame)
		sendMark(t, s.app, s.idle, i)
		isGroup := h.frame[0]&1 == 1
		if isGroup && len(h.frame) >= 14+shortestForwarded && !s.idle.hasSeen(h.frame) {
			t.Errorf("%s was not heard", h.name)
		}
		if h.reason != 0 {
			want[h.reason]++
		}
		fabric.expectCounts(t, s.port, want, h.name)
	}
	if answers := s.app.answers(); len(answers) > 0 {
		t.Errorf("the fabric answers: %x", answers)
	}
}

// isLinkLocal reports whether a frame is for a group address that no bridge forwards (IEEE 802.1D, 7.12.6),
// but for spanning tree's, which Linux forwards where it is off.
func isLinkLocal(frame []byte) bool {
	return bytes.HasPrefix(frame, []byte{0x01, 0x80, 0xc2, 0, 0}) && frame[5] != 0
}
