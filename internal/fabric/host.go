package fabric

import (
	"bytes"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/arp"
)

// hosts answers the host's own stack. The host is a guest, too, on a bridge on which it has an address, and it is the
// guest of a sidecar. The datapath hands over its requests as it does guests' requests. hosts answers them by an entry
// in the host's neighbour table.
type hosts struct {
	log       *slog.Logger
	neighbors *link.Neighbors

	mu          sync.Mutex // the datapath's server calls answer, and the loop calls refresh
	devices     hostDevices
	entries     map[hostEntry]registry.MAC
	last        hostFrame
	warnedAddrs map[hostEntry]bool // addresses of the host without a binding, of which the log has a warning
}

// A hostEntry identifies a neighbour entry of the host.
type hostEntry struct {
	ifindex int // of the host's interface
	addr    netip.Addr
}

// A hostFrame is a frame of the host. The datapath hands over a broadcast once for each egress port.
type hostFrame struct {
	from *port
	data []byte
	at   time.Time // when the first copy was read
	by   []int     // ifindexes of the egress ports of the copies so far
}

// floodTime is the time within which all copies of one broadcast arrive, also on a busy machine. The kernel repeats a
// request after a second.
const floodTime = 500 * time.Millisecond

func newHosts(log *slog.Logger) (*hosts, error) {
	neighbors, err := link.OpenNeighbors()
	if err != nil {
		return nil, err
	}
	return &hosts{
		log: log, neighbors: neighbors,
		entries: map[hostEntry]registry.MAC{}, warnedAddrs: map[hostEntry]bool{},
	}, nil
}

// isCopy reports whether frame, from the host's interface p, is a copy of the last one for another egress port. The
// same frame for the same egress port is a new request.
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

// The causes for which an answer does not reach its requester.
const (
	noProbe     = "the host's neighbour table has no place for the answer to a probe"
	notOurs     = "no interface of arpfabric's network namespace has the sender's MAC, so its neighbour table is out of reach"
	cannotWrite = "the neighbour table cannot be written; the log has the error"
)

// answer applies the verdict on a request of the host, or of a sidecar's guest, on the interface p: it writes a
// neighbour entry, or marks it as failed. In classic mode, other guests answer the host, and answer only logs a missing
// binding. If the answer does not reach the requester, it returns the cause.
func (h *hosts) answer(p *port, request []byte, v responder.Verdict) (undelivered string) {
	var packet arp.Packet
	header, ok := responder.ParseHeader(request)
	if !ok || v.Reason == responder.Malformed || packet.UnmarshalBinary(request[header.Len:]) != nil {
		return ""
	}
	switch {
	case v.Reason == responder.UnregisteredSender || v.Reason == responder.SpoofedSender || v.Reason == responder.NotHolder:
		h.warn(p, packet)
		return ""
	case !p.network.guarded():
		return ""
	case v.Action != responder.Reply && (v.Reason != responder.UnknownTarget || len(p.network.config().Attach.Uplinks) > 0):
		return "" // the host's request has left by the uplinks, too, and may be answered there
	case v.Action == responder.Reply && v.Reason != responder.Answered:
		return noProbe
	}
	return h.write(p, packet, v.Action == responder.Reply)
}

// write writes the neighbour entry of the address that a packet asks for, or marks it as failed.
func (h *hosts) write(p *port, packet arp.Packet, isKnown bool) (undelivered string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ifindex, ok := h.devices.of(p, registry.MAC(packet.SenderHardwareAddr))
	if !ok {
		h.warnUnreachable(p, packet)
		return notOurs
	}
	e, err := hostEntry{ifindex, packet.TargetIP}, error(nil)
	if isKnown {
		err = h.setEntry(e, p)
	} else {
		err = h.neighbors.Fail(e.ifindex, e.addr)
	}
	if err != nil {
		h.log.Error("cannot answer the host", "interface", p.link.Name, "error", err)
		return cannotWrite
	}
	return ""
}

// setEntry writes the entry of an address. It looks up the owner again: a reload may have changed the registry and the
// entries since the verdict. The caller holds the lock.
func (h *hosts) setEntry(e hostEntry, p *port) error {
	owner, ok := ownerOf(e, p)
	if !ok {
		return nil
	}
	h.entries[e] = owner
	return h.neighbors.Set(e.ifindex, e.addr, owner[:])
}

// maxWarnedAddrs limits the addresses of the host in warnings: a program with a packet socket can make up many.
const maxWarnedAddrs = 16

// warn logs, once for each address, that an address of the host has no binding.
func (h *hosts) warn(p *port, packet arp.Packet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.isWarned(p, packet) {
		return
	}
	consequence := "is not answered"
	if !p.network.guarded() {
		consequence = "would not be answered in mode vpc"
	}
	h.log.Warn("the host sends requests from an address that is not bound to its MAC, and "+consequence+"; add the binding",
		"network", p.network.config().Name, "interface", p.link.Name, "address", packet.SenderIP, "mac", packet.SenderHardwareAddr.String())
}

// warnUnreachable logs, once for each address, that a requester on the bridge gets no answer. The caller holds the lock.
func (h *hosts) warnUnreachable(p *port, packet arp.Packet) {
	if h.isWarned(p, packet) {
		return
	}
	h.log.Warn("a macvlan in another network namespace asks by the host's bridge, and its answer cannot be delivered; "+
		"use a veth pair with one end in the bridge instead",
		"network", p.network.config().Name, "interface", p.link.Name, "address", packet.SenderIP, "mac", packet.SenderHardwareAddr.String())
}

// isWarned records a warning about the sender of a packet, and reports whether there was one, or were too many.
func (h *hosts) isWarned(p *port, packet arp.Packet) bool {
	own := hostEntry{p.link.Index, packet.SenderIP}
	if h.warnedAddrs[own] || len(h.warnedAddrs) == maxWarnedAddrs {
		return true
	}
	h.warnedAddrs[own] = true
	return false
}

// refresh brings the entries in line with the registries: it updates those whose owner has changed, and deletes those
// whose address has no owner. ports are the host's own, and those of sidecars' guests.
func (h *hosts) refresh(ports []*port, s link.Snapshot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.devices = devicesOf(ports, s)
	for _, p := range ports {
		h.takeOverGuest(p)
	}
	for e, mac := range h.entries {
		owner, ok := ownerOf(e, h.devices.byIndex[e.ifindex])
		switch {
		case !ok:
			h.forget(e)
		case owner != mac:
			h.entries[e] = owner
			h.report(h.neighbors.Set(e.ifindex, e.addr, owner[:]))
		}
	}
}

// takeOverGuest takes over the entries of a port if the host is the guest of a sidecar there: it must not use what it learned
// before it was guarded, or by an older registry.
func (h *hosts) takeOverGuest(p *port) {
	if p.network.config().Attach.Kind == config.AttachSidecar && p.network.guarded() {
		h.takeOverNeighbors(p.link.Index)
	}
}

// takeOverNeighbors adds all learned entries of an interface to h.entries, so that refresh corrects them.
func (h *hosts) takeOverNeighbors(ifindex int) {
	maps.DeleteFunc(h.entries, func(e hostEntry, _ registry.MAC) bool { return e.ifindex == ifindex })
	learned, err := h.neighbors.Learned(ifindex)
	h.report(err)
	for addr, mac := range learned {
		if len(mac) == len(registry.MAC{}) {
			h.entries[hostEntry{ifindex, addr}] = registry.MAC(mac)
		}
	}
}

// ownerOf returns the owner of an entry's address in the network of the host's port p, which may be nil.
func ownerOf(e hostEntry, p *port) (registry.MAC, bool) {
	if p == nil {
		return registry.MAC{}, false
	}
	n := p.network
	binding, ok := n.config().Registry.Lookup(e.addr)
	return binding.MAC, ok && n.guarded()
}

// close deletes all entries, and closes the socket. The guest of a sidecar may have learned some from the datapath itself.
func (h *hosts) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.devices.byIndex {
		h.takeOverGuest(p)
	}
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
		h.log.Error("cannot update the host's neighbour entries", "error", err)
	}
}
