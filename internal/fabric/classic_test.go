package fabric_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
)

// TestClassic checks that in classic mode frames flood as without a fabric, that the owner answers and the fabric does
// not, and that the fabric counts the verdicts of vpc mode.
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
				labtest.Eventually(t, g.Name+" receives "+h.name, func() bool { return g.hasReceived(h.frame) })
			}
			want[h.reason]++
			fabric.expectCounts(t, s.port, want, h.name)
		}
		labtest.Eventually(t, "db itself answers", func() bool { return len(s.app.receivedARP()) > 0 })
		sendMark(t, s.db, s.app, 1)
		if answers := s.app.answers(); len(answers) > 0 {
			t.Errorf("the fabric answers: %x", answers)
		}
	})
}

// TestClassicFloods checks that all frames that no guest receives in vpc mode reach guests in classic mode, and that
// the fabric counts them by the same reasons. So it also checks that these frames would cross a bridge without a guard.
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
		if isGroup && len(h.frame) >= 14+shortestForwarded && !s.idle.hasReceived(h.frame) {
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

// TestClassicSeesHostAndUplinks checks that classic mode counts the verdicts on the requests of the host and of
// uplinks, and forwards them.
func TestClassicSeesHostAndUplinks(t *testing.T) {
	labtest.NeedProgram(t, "ping")
	s := build(t, onBridge)
	outside := addGuestIn(t, bridgeName, 4, "outside")
	fabric := start(t, network("{bridge: br0, uplinks: [vnet4]}", "mode: classic"))

	ping(t, dbAddr)
	labtest.Eventually(t, "the host's request is counted", func() bool { return fabric.counts(bridgeName)[responder.Answered] > 0 })
	if found := fabric.Findings()["lab"]; len(found) != 1 || !strings.Contains(found[0], hostAddr.Addr().String()) {
		t.Errorf("findings about the host's missing binding: %q", found)
	}
	stranger := outside.request(dbAddr)
	stranger.SenderIP = netip.MustParseAddr("10.239.0.250")
	outside.send(t, stranger.Frame())
	fabric.expectCounts(t, "vnet4", counts{responder.Answered: 1}, "what came by the uplink")
	labtest.Eventually(t, "it is forwarded", func() bool { return s.idle.hasReceived(stranger.Frame()) })
	if answers := outside.answers(); len(answers) > 0 {
		t.Errorf("the fabric answers: %x", answers)
	}
}

// isLinkLocal reports whether a frame is for a group address that no bridge forwards (IEEE 802.1D, 7.12.6). It returns
// false for spanning tree's address, which Linux forwards if spanning tree is off.
func isLinkLocal(frame []byte) bool {
	return bytes.HasPrefix(frame, []byte{0x01, 0x80, 0xc2, 0, 0}) && frame[5] != 0
}
