package fabric

import (
	"bytes"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/mdlayher/arp"
)

// hosts answers the host's own stack, which is a guest too on a bridge that it has an address on. What it
// asks there is handed over as guests' requests are, and is answered by an entry in its neighbour table.
type hosts struct {
	log       *slog.Logger
	neighbors *link.Neighbors

	mu      sync.Mutex // one goroutine serves the bridges, another follows the interfaces
	entries map[hostEntry]responder.MAC
	last    hostFrame
	strange map[netip.Addr]bool // addresses of the host without a binding that were logged
}

// A hostEntry is an entry that the fabric has put into the host's neighbour table.
type hostEntry struct {
	ifindex int // of the bridge
	addr    netip.Addr
}

// A hostFrame is a frame as it was seen last. A broadcast is handed over once for each port.
type hostFrame struct {
	data []byte
	at   time.Time
}

// floodTime is how long the copies of one broadcast may take. The kernel asks again after a second.
const floodTime = 50 * time.Millisecond

func newHosts(log *slog.Logger) (*hosts, error) {
	neighbors, err := link.OpenNeighbors()
	if err != nil {
		return nil, err
	}
	return &hosts{
		log: log, neighbors: neighbors,
		entries: map[hostEntry]responder.MAC{}, strange: map[netip.Addr]bool{},
	}, nil
}

// isCopy reports whether frame is one that was just seen, on its way out of another port.
func (h *hosts) isCopy(frame []byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if bytes.Equal(h.last.data, frame) && now.Sub(h.last.at) < floodTime {
		return true
	}
	h.last = hostFrame{append(h.last.data[:0], frame...), now}
	return false
}

// answer lets the host know what became of a request of its own on the bridge p.
func (h *hosts) answer(p *port, request, reply []byte, v responder.Verdict) {
	var asked arp.Packet
	if v.Reason == responder.Malformed || asked.UnmarshalBinary(request[ethernetHeaderLen:]) != nil {
		return
	}
	var err error
	switch {
	case v.Action == responder.Reply && v.Reason == responder.Answered:
		owner := responder.MAC(reply[6:12])
		h.remember(hostEntry{p.link.Index, asked.TargetIP}, owner)
		err = h.neighbors.Set(p.link.Index, asked.TargetIP, owner[:])
	case v.Reason == responder.UnknownTarget:
		err = h.neighbors.Fail(p.link.Index, asked.TargetIP)
	case v.Reason == responder.UnregisteredSender || v.Reason == responder.SpoofedSender:
		h.warn(p, asked)
	}
	if err != nil {
		h.log.Error("can't answer the host", "bridge", p.link.Name, "error", err)
	}
}

const ethernetHeaderLen = 14

func (h *hosts) remember(e hostEntry, mac responder.MAC) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.entries[e] = mac
}

// warn logs, once an address, that the host itself has no binding.
func (h *hosts) warn(p *port, asked arp.Packet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.strange[asked.SenderIP] {
		return
	}
	h.strange[asked.SenderIP] = true
	h.log.Warn("the host asks for guests from an address that is not bound to its MAC, and is not answered; add the binding",
		"network", p.network.config().Name, "bridge", p.link.Name, "address", asked.SenderIP, "mac", asked.SenderHardwareAddr)
}

// refresh brings the entries in line with the registries: what has another owner is changed, what has none
// is taken away. ports are those of the bridges.
func (h *hosts) refresh(ports []*port) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for e, mac := range h.entries {
		owner, ok := ownerOf(e, ports)
		switch {
		case !ok:
			h.forget(e)
		case owner != mac:
			h.entries[e] = owner
			h.report(h.neighbors.Set(e.ifindex, e.addr, owner[:]))
		}
	}
}

func ownerOf(e hostEntry, ports []*port) (responder.MAC, bool) {
	i := slices.IndexFunc(ports, func(p *port) bool { return p.link.Index == e.ifindex })
	if i < 0 {
		return responder.MAC{}, false
	}
	settings := ports[i].network.settings.Load()
	binding, ok := settings.config.Registry.Lookup(e.addr)
	return binding.MAC, ok && settings.answers
}

// close takes all entries away.
func (h *hosts) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for e := range h.entries {
		h.forget(e)
	}
	h.neighbors.Close()
}

func (h *hosts) forget(e hostEntry) {
	delete(h.entries, e)
	h.report(h.neighbors.Delete(e.ifindex, e.addr))
}

func (h *hosts) report(err error) {
	if err != nil {
		h.log.Error("can't correct what the host was answered", "error", err)
	}
}
