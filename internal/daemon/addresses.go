package daemon

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// AddressMap implements [api.Fabric].
func (d *daemon) AddressMap(network string, after netip.Addr, limit int) (api.AddressMap, error) {
	n, err := d.allocations.network(network)
	if err != nil {
		return api.AddressMap{}, err
	}
	var violated []netip.Addr
	for _, r := range d.fabric.Violations().All() {
		if r.Network == network {
			violated = append(violated, r.Claimed())
		}
	}
	isActive := func(mac registry.MAC) bool {
		at, ok := d.fabric.Location(network, mac)
		return ok && at.From != fabric.FromBinding
	}
	return mapAddresses(n, isActive, violated, after, limit), nil
}

// blockSize is the number of addresses in a block of the map.
const blockSize = 256

// An addressMap is an [api.AddressMap] that is being made.
type addressMap struct {
	subnet netip.Prefix
	begin  registry.IPv4                      // the first address of the first block
	blocks map[registry.IPv4]*[blockSize]byte // by their first address
}

// mapAddresses makes the map of a network's addresses.
func mapAddresses(
	n *config.Network, isActive func(registry.MAC) bool, violated []netip.Addr, after netip.Addr, limit int,
) api.AddressMap {
	m := addressMap{subnet: n.Subnet, blocks: map[registry.IPv4]*[blockSize]byte{}}
	if after.IsValid() {
		m.begin = blockOf(registry.IPv4Of(after)) + blockSize
		if m.begin == 0 { // after is in the last block
			return m.finish(limit)
		}
	}
	for run := range n.Registry.Owners() {
		if registry.IPv4Of(run.Last) < m.begin {
			continue
		}
		state := api.AllocatedAddress
		if isActive(run.MAC) {
			state = api.ActiveAddress
		}
		// One block more than the limit, so that finish knows whether there are more. The runs are sorted.
		if !m.markRun(run, state, limit+1) {
			break
		}
	}
	for _, addr := range violated {
		if addr.Is4() {
			m.markViolated(registry.IPv4Of(addr))
		}
	}
	return m.finish(limit)
}

// markRun sets the state of a run of addresses. It returns false if that would need more than the most blocks.
func (m *addressMap) markRun(run registry.Binding, state api.AddressState, most int) bool {
	last := registry.IPv4Of(run.Last)
	for ip := max(registry.IPv4Of(run.First), m.begin); ip <= last; ip++ {
		block := m.blocks[blockOf(ip)]
		if block == nil {
			if len(m.blocks) == most {
				return false
			}
			block = m.add(blockOf(ip))
		}
		block[ip-blockOf(ip)] = byte(state)
	}
	return true
}

// markViolated sets the state of an address that a guest used and may not use. Guests may use any address, so the map
// gets no block for one outside of the subnet.
func (m *addressMap) markViolated(ip registry.IPv4) {
	block := m.blocks[blockOf(ip)]
	if block == nil && ip >= m.begin && m.subnet.IsValid() && m.subnet.Contains(ip.Addr()) {
		block = m.add(blockOf(ip))
	}
	if block != nil {
		block[ip-blockOf(ip)] = byte(api.ViolatedAddress)
	}
}

// blockOf returns the first address of the block that has ip.
func blockOf(ip registry.IPv4) registry.IPv4 { return ip &^ (blockSize - 1) }

// add adds the block that begins with first, with all addresses free.
func (m *addressMap) add(first registry.IPv4) *[blockSize]byte {
	block := new([blockSize]byte)
	for i := range block {
		block[i] = byte(api.FreeAddress)
		if !isUsable(m.subnet, first+registry.IPv4(i)) {
			block[i] = byte(api.UnusableAddress)
		}
	}
	m.blocks[first] = block
	return block
}

// isUsable reports whether a host of the subnet can have an address. Without a subnet, all addresses are usable.
func isUsable(subnet netip.Prefix, ip registry.IPv4) bool {
	switch {
	case !subnet.IsValid():
		return true
	case !subnet.Contains(ip.Addr()):
		return false
	case subnet.Bits() >= 31:
		return true
	}
	first := registry.IPv4Of(subnet.Masked().Addr())
	last := first | 1<<(32-subnet.Bits()) - 1
	return ip != first && ip != last
}

// finish returns the first blocks, at most limit.
func (m *addressMap) finish(limit int) api.AddressMap {
	done := api.AddressMap{Blocks: []api.AddressBlock{}}
	if m.subnet.IsValid() {
		done.Subnet = m.subnet.String()
	}
	for _, first := range slices.Sorted(maps.Keys(m.blocks)) {
		if len(done.Blocks) == limit {
			done.After = done.Blocks[limit-1].First.String()
			break
		}
		done.Blocks = append(done.Blocks, api.AddressBlock{First: first.Addr(), States: string(m.blocks[first][:])})
	}
	return done
}
