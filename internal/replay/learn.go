package replay

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

const (
	// maxAddresses is the number of addresses that are learned. They fit into a YAML file that config.Load accepts.
	maxAddresses = 1 << 18

	// maxClaimants is the number of MACs that are kept for one address.
	maxClaimants = 8
)

// Learned holds the bindings that a capture shows.
type Learned struct {
	addresses map[netip.Addr][]claimant
	shown     int    // frames that show a binding
	overLimit int    // frames among them that exceed maxAddresses or maxClaimants
	leftOut   counts // frames that show no binding, by reason
	cut       int    // frames that are truncated in the capture
	probes    int    // frames whose sender has no address yet
	notARP    int
	warnings  []string
}

// A claimant is a MAC that uses an address as its own.
type claimant struct {
	mac    registry.MAC
	frames int
	last   time.Time // time of the last frame
}

// Learn collects the senders of a capture's requests, announcements and replies. A probe shows no binding, because its
// sender has no address yet. Neither does a frame that the fabric drops with any registry, such as a tagged one, or an
// answer with config.DenyMAC.
//
// Learn returns an error if in is not a capture of Ethernet frames, or if the capture shows no binding.
func Learn(ctx context.Context, in io.Reader) (*Learned, error) {
	c, err := opener{withoutTime: true}.open(in)
	if err != nil {
		return nil, err
	}
	empty, err := registry.New(slices.Values([]registry.Binding(nil)))
	if err != nil {
		return nil, err
	}
	anySender := responder.New(empty, responder.Policy{AnySender: true})
	l := &Learned{addresses: map[netip.Addr][]claimant{}, leftOut: counts{}}
	l.warnings, err = c.each(ctx, func(f frame) { l.frame(anySender, f) })
	if err == nil && len(l.addresses) == 0 {
		err = fmt.Errorf("no ARP frame in it shows a binding (%s)", l.whyNone(c))
	}
	return l, err
}

// whyNone says what the frames are that show no binding.
func (l *Learned) whyNone(c *capture) string {
	var kinds []string
	add := func(n int, kind string) {
		if n > 0 {
			kinds = append(kinds, fmt.Sprintf("%d %s", n, kind))
		}
	}
	add(c.notEthernetFrames(), "not Ethernet")
	add(l.notARP, "not ARP")
	for _, v := range l.leftOut.verdicts() {
		add(v.Frames, v.Reason)
	}
	add(l.probes, "from 0.0.0.0 (probes)")
	add(l.cut, "truncated in the capture")
	if len(kinds) == 0 {
		return "it has no frames"
	}
	return "its frames: " + strings.Join(kinds, ", ")
}

// frame adds the binding that a frame shows, if any. With an empty registry and any sender, the verdict depends only on
// the frame.
func (l *Learned) frame(anySender *responder.Responder, f frame) {
	if f.hasNoType() {
		l.notARP++
		return
	}
	v := anySender.Decide(responder.Ingress{}, f.data, nil)
	switch v.Reason {
	case responder.NotARP:
		l.notARP++
		return
	case responder.Announcement, responder.GuestReply, responder.UnknownTarget:
	default:
		l.leaveOut(f, v.Reason)
		return
	}
	switch sender := responder.SenderIdentityOf(f.data); {
	case sender.Sender.IsUnspecified():
		l.probes++
	case sender.Sender.As4()[0] == 0: // 0.0.0.0/8: RFC 1122, 3.2.1.3
		l.leaveOut(f, responder.InvalidSenderIP)
	case sender.MAC == config.DenyMAC:
		l.leaveOut(f, responder.UnallocatedProbe)
	default:
		l.add(sender, f.at)
	}
}

func (l *Learned) leaveOut(f frame, reason responder.Reason) {
	if _, complete := packetOf(f.data); f.cut && !complete {
		l.cut++
		return
	}
	l.leftOut.add(responder.Verdict{Reason: reason})
}

// add adds a sender as a claimant of its address.
func (l *Learned) add(sender responder.SenderIdentity, at time.Time) {
	l.shown++
	known := l.addresses[sender.Sender]
	i := slices.IndexFunc(known, func(c claimant) bool { return c.mac == sender.MAC })
	switch {
	case i >= 0:
		known[i].frames++
		known[i].last = at
	case len(known) == maxClaimants, known == nil && len(l.addresses) == maxAddresses:
		l.overLimit++
	default:
		l.addresses[sender.Sender] = append(known, claimant{sender.MAC, 1, at})
	}
}
