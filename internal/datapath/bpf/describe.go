package bpf

import (
	"cmp"
	"slices"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/cilium/ebpf"
)

// Program implements [datapath.Datapath].
func (d *Datapath) Program() *datapath.Program {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running == nil {
		return nil
	}
	p := &datapath.Program{Ports: len(d.names), Detours: slices.Clone(d.detours), LeftToFabric: slices.Clone(d.left)}
	for name, m := range map[string]*ebpf.Map{
		guardMapPorts: d.running.Ports, guardMapLimits: d.running.Limits, guardMapBindings: d.running.Bindings,
		guardMapRanges: d.running.Ranges, guardMapHost: d.running.Host, guardMapLocations: d.running.Locations,
		guardMapCounts: d.running.Counts, guardMapShown: d.running.Shown,
	} {
		described := datapath.Map{Name: name, MaxEntries: m.MaxEntries()}
		if info, err := m.Info(); err == nil {
			described.Bytes, _ = info.Memlock()
		}
		p.Maps = append(p.Maps, described)
	}
	slices.SortFunc(p.Maps, func(a, b datapath.Map) int { return cmp.Compare(a.Name, b.Name) })
	return p
}
