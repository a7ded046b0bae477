package fabric

import (
	"bytes"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/mdlayher/arp"
)

// hosts answers the host's own stack, which is a guest too on a bridge that it has an address on, and is the guest of
// a sidecar. What it asks there is handed over as guests' requests are, and is answered by an entry in its neighbour
// table.
type hosts struct {
	log       *slog.Logger
	neighbors *link.Neighbors

	mu      sync.Mutex // one goroutine serves the bridges, another follows the interfaces
	entries map[hostEntry]responder.MAC
	last    hostFrame
	strange map[hostEntry]bool // addresses of the host without a binding that were logged
}

// A hostEntry is an entry that the fabric has put into the host's neighbour table.
type hostEntry struct {
	ifindex int // of the host's interface
	addr    netip.Addr
}

// A hostFrame is a frame as it was seen last. A broadcast is handed over once for each port that it was to leave by.
type hostFrame struct {
	from *port
	data []byte
	at   time.Time
	by   []int // ifindexes
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
		entries: map[hostEntry]responder.MAC{}, strange: map[hostEntry]bool{},
	}, nil
}

// isCopy reports whether frame, from the host's interface p, is one that was just seen, on its way out of another
// port. Where it was to leave by the same port, the host has asked again.
func (h *hosts) isCopy(p *port, frame wire.Frame) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	last, now := &h.last, time.Now()
	if last.from == p && bytes.Equal(last.data, frame.Data) && now.Sub(last.at) < floodTime &&
		!slices.Contains(last.by, frame.Port) {
		last.by = append(last.by, frame.Port)
		return true
	}
	*last = hostFrame{p, append(last.data[:0], frame.Data...), now, append(last.by[:0], frame.Port)}
	return false
}

// answer lets the host, or a sidecar's guest, know what became of a request of its own on the interface p. In classic mode
// it is answered by others, and only the log says what it would lack.
func (h *hosts) answer(p *port, request []byte, v responder.Verdict) {
	var asked arp.Packet
	if isTagged(request) {
		request = request[tagLen:] // what comes first is of no interest
	}
	if v.Reason == responder.Malformed || asked.UnmarshalBinary(request[ethernetHeaderLen:]) != nil {
		return
	}
	var err error
	switch {
	case v.Reason == responder.UnregisteredSender || v.Reason == responder.SpoofedSender:
		h.warn(p, asked)
	case !p.network.guarded():
	case v.Action == responder.Reply && v.Reason == responder.Answered:
		err = h.tell(p, asked.TargetIP)
	case v.Reason == responder.UnknownTarget:
		err = h.neighbors.Fail(p.link.Index, asked.TargetIP)
	}
	if err != nil {
		h.log.Error("can't answer the host", "interface", p.link.Name, "error", err)
	}
}

// tell writes the entry of an address as the registry has it now: a reload corrects what was told before it.
func (h *hosts) tell(p *port, addr netip.Addr) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := hostEntry{p.link.Index, addr}
	owner, ok := ownerOf(e, []*port{p})
	if !ok {
		return nil
	}
	h.entries[e] = owner
	return h.neighbors.Set(e.ifindex, e.addr, owner[:])
}

// mostStrange is how many addresses of the host are logged: a program with a packet socket may make many up.
const mostStrange = 16

// warn logs, once an address, that the host itself has no binding.
func (h *hosts) warn(p *port, asked arp.Packet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	own := hostEntry{p.link.Index, asked.SenderIP}
	if h.strange[own] || len(h.strange) == mostStrange {
		return
	}
	h.strange[own] = true
	what := "is not answered"
	if !p.network.guarded() {
		what = "would not be answered in mode vpc"
	}
	h.log.Warn("the host asks for guests from an address that is not bound to its MAC, and "+what+"; add the binding",
		"network", p.network.config().Name, "interface", p.link.Name, "address", asked.SenderIP, "mac", asked.SenderHardwareAddr.String())
}

// refresh brings the entries in line with the registries: what has another owner is changed, what has none
// is taken away. ports are the host's own, and those of sidecars.
func (h *hosts) refresh(ports []*port) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range ports {
		if p.network.config().Attach.Sidecar != "" && p.network.guarded() {
			h.adopt(p.link.Index)
		}
	}
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

// adopt makes all entries of an interface the fabric's own: a sidecar's guest knows nobody but those in the registry,
// whoever it has learned of before.
func (h *hosts) adopt(ifindex int) {
	maps.DeleteFunc(h.entries, func(e hostEntry, _ responder.MAC) bool { return e.ifindex == ifindex })
	learned, err := h.neighbors.Learned(ifindex)
	h.report(err)
	for addr, mac := range learned {
		if len(mac) == len(responder.MAC{}) {
			h.entries[hostEntry{ifindex, addr}] = responder.MAC(mac)
		}
	}
}

func ownerOf(e hostEntry, ports []*port) (responder.MAC, bool) {
	i := slices.IndexFunc(ports, func(p *port) bool { return p.link.Index == e.ifindex })
	if i < 0 {
		return responder.MAC{}, false
	}
	n := ports[i].network
	binding, ok := n.config().Registry.Lookup(e.addr)
	return binding.MAC, ok && n.guarded()
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
