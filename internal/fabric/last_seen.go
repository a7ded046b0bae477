package fabric

import (
	"sync"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder"
)

// lastSeen knows when the kernel last received a frame from a port, of any kind: it compares the kernel's counters each time
// that they are read. So it also sees guests whose frames the fabric does not.
type lastSeen struct {
	mu     sync.Mutex
	frames map[int]uint64 // by ifindex; nil before the first update
	at     map[int]time.Time
}

// update reads the counters, and compares them with those of the last update.
func (l *lastSeen) update() error {
	l.mu.Lock()
	defer l.mu.Unlock() // held while it reads, so that no update compares with later counters
	frames, err := link.ReadReceived()
	if err != nil {
		return err
	}
	l.compare(frames, time.Now())
	return nil
}

func (l *lastSeen) compare(frames map[int]uint64, now time.Time) {
	at := map[int]time.Time{}
	for index, n := range frames {
		before, known := l.frames[index]
		switch {
		case known && n == before, l.frames == nil:
			at[index] = l.at[index]
		case n > 0: // also of an interface that is new
			at[index] = now
		}
	}
	l.frames, l.at = frames, at
}

// of returns when an interface was last seen, or the zero time.
func (l *lastSeen) of(index int) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at[index]
}

// updateLastSeen is for the loop, which calls it at intervals, and for everybody who wants to know the times.
func (f *Fabric) updateLastSeen() {
	if err := f.seen.update(); err != nil {
		f.log.Error("cannot read when ports were last seen", "error", err)
	}
}

// isSeen reports whether what the port's interface receives is from guests, or from behind an uplink.
func (p *port) isSeen() bool {
	kind := p.network.config().Attach.Kind
	return p.in.Kind != responder.Host && (kind == config.AttachBridge || kind == config.AttachInterface)
}
