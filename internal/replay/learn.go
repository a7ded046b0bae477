package replay

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/responder"
)

const (
	// maxAddresses is how many addresses are learned: what fits into a YAML file that config.Load reads.
	maxAddresses = 1 << 18

	// maxClaimants is how many MACs are remembered of one address.
	maxClaimants = 8
)

// Learned is what a capture shows of who has which address.
type Learned struct {
	addresses map[netip.Addr][]claimant
	shown     int    // frames that show a binding
	notTaken  int    // of those, the ones beyond maxAddresses and maxClaimants
	leftOut   counts // frames that show none, by reason
	cut       int    // frames that the capture has too little of
	warnings  []string
}

// A claimant is a MAC that says that an address is its own.
type claimant struct {
	mac    responder.MAC
	frames int
	last   time.Time // it said so
}

// Learn gathers the senders of a capture's requests, announcements and replies. A probe's sender has no address yet.
// Frames that the fabric drops whatever its registry holds, such as tagged ones, show nothing, and neither does an
// answer with the MAC that nobody has.
//
// Learn returns an error if in holds no capture of Ethernet frames, or a capture that shows no binding.
func Learn(ctx context.Context, in io.Reader) (*Learned, error) {
	c, err := openCapture(in)
	if err != nil {
		return nil, err
	}
	nobody, err := responder.NewRegistry(slices.Values([]responder.Binding(nil)))
	if err != nil {
		return nil, err
	}
	everybody := responder.New(nobody, responder.Policy{AnySender: true})
	l := &Learned{addresses: map[netip.Addr][]claimant{}, leftOut: counts{}}
	l.warnings, err = c.each(ctx, func(f frame) { l.frame(everybody, f) })
	if err == nil && len(l.addresses) == 0 {
		err = errors.New("no ARP in it shows who has which address")
	}
	return l, err
}

// frame takes the binding that a frame shows, if it shows one. With no registry and any sender, the verdict depends on
// the frame alone.
func (l *Learned) frame(everybody *responder.Responder, f frame) {
	v := everybody.Handle(responder.In{}, f.data, nil)
	switch v.Reason {
	case responder.NotARP:
		return
	case responder.Announcement, responder.GuestReply, responder.UnknownTarget:
	default:
		l.leaveOut(f, v.Reason)
		return
	}
	switch claim := responder.ClaimOf(f.data); {
	case claim.Sender.IsUnspecified(): // a probe
	case claim.Sender.As4()[0] == 0: // 0.0.0.0/8: RFC 1122, 3.2.1.3
		l.leaveOut(f, responder.InvalidSenderIP)
	case claim.MAC == config.DenyMAC:
		l.leaveOut(f, responder.UnallocatedProbe)
	default:
		l.take(claim, f.at)
	}
}

func (l *Learned) leaveOut(f frame, reason responder.Reason) {
	if _, whole := packetOf(f.data); f.cut && !whole {
		l.cut++
		return
	}
	l.leftOut.add(responder.Verdict{Reason: reason})
}

// take notes that claim's sender says that its address is its own.
func (l *Learned) take(claim responder.Claim, at time.Time) {
	l.shown++
	known := l.addresses[claim.Sender]
	i := slices.IndexFunc(known, func(c claimant) bool { return c.mac == claim.MAC })
	switch {
	case i >= 0:
		known[i].frames++
		known[i].last = at
	case len(known) == maxClaimants, known == nil && len(l.addresses) == maxAddresses:
		l.notTaken++
	default:
		l.addresses[claim.Sender] = append(known, claimant{claim.MAC, 1, at})
	}
}
