package fabric_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
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
				lab.Eventually(t, g.Name+" hears "+h.name, func() bool { return g.hasSeen(h.frame) })
			}
			want[h.reason]++
			fabric.expectCounts(t, s.port, want, h.name)
		}
		lab.Eventually(t, "db itself answers", func() bool { return len(s.app.heard()) > 0 })
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

// TestClassicHearsTheHostAndUplinks holds that what vpc mode would do with the host's requests and an uplink's is known
// before, and that they go on their way.
func TestClassicHearsTheHostAndUplinks(t *testing.T) {
	lab.NeedProgram(t, "ping")
	s := build(t, onBridge)
	outside := addGuestIn(t, bridgeName, 4, "outside")
	log := &journal{}
	configuration := network("{bridge: br0, uplinks: [vnet4]}", "mode: classic")
	fabric := startLogging(t, loadConfig(t, configuration), slog.NewJSONHandler(log, nil))

	ping(t, dbAddr)
	lab.Eventually(t, "the host is not registered", func() bool { return fabric.counts(bridgeName)[responder.UnregisteredSender] > 0 })
	lab.Eventually(t, "the log says so", func() bool { return len(log.with(t, "address", hostAddr.Addr().String())) > 0 })
	if lines := log.with(t, "address", hostAddr.Addr().String()); len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0]["msg"]), "would not be answered") {
		t.Errorf("of the host's missing binding, the log says %v", lines)
	}
	stranger := outside.request(dbAddr)
	stranger.SenderIP = netip.MustParseAddr("10.239.0.250")
	outside.send(t, stranger.Frame())
	fabric.expectCounts(t, "vnet4", counts{responder.Answered: 1}, "what came by the uplink")
	lab.Eventually(t, "it goes on its way", func() bool { return s.idle.hasSeen(stranger.Frame()) })
	if answers := outside.answers(); len(answers) > 0 {
		t.Errorf("the fabric answers: %x", answers)
	}
}

// isLinkLocal reports whether a frame is for a group address that no bridge forwards (IEEE 802.1D, 7.12.6),
// but for spanning tree's, which Linux forwards where it is off.
func isLinkLocal(frame []byte) bool {
	return bytes.HasPrefix(frame, []byte{0x01, 0x80, 0xc2, 0, 0}) && frame[5] != 0
}
