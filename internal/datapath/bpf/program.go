package bpf

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// A program is one load of the eBPF programs, with their maps. The maps can't grow: a plan that needs larger ones gets
// another program, which replaces this one at every port.
type program struct {
	Arpfabric   *ebpf.Program `ebpf:"arpfabric"`
	OwnRequests *ebpf.Program `ebpf:"own_requests"`
	Unanswered  *ebpf.Program `ebpf:"unanswered"`
	guardMaps
	guardVariables
}

// Close closes the programs and their maps. They stay in the kernel as long as they are attached.
func (p *program) Close() error {
	return errors.Join(p.Arpfabric.Close(), p.OwnRequests.Close(), p.Unanswered.Close(), p.guardMaps.Close())
}

// seesChecksums reports whether the kernel tells programs where it writes checksums: Linux 6.2 and later, with
// CONFIG_DEBUG_INFO_BTF. It takes some time to find out.
var seesChecksums = sync.OnceValue(findChecksums)

func findChecksums() bool {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return false
	}
	var f *btf.Func
	return kernel.TypeByName("bpf_cast_to_kern_ctx", &f) == nil
}

// sizes are the numbers of entries that the maps can have.
type sizes struct{ ports, bindings, ranges, host, locations uint32 }

// withRoom returns the sizes of maps that can grow for a while. The kernel allocates entries one by one, as they are
// needed.
func (s sizes) withRoom() sizes {
	double := func(n, least uint32) uint32 { return max(2*n, least) }
	return sizes{
		ports: double(s.ports, 256), bindings: double(s.bindings, 1<<12), ranges: double(s.ranges, 1<<10),
		host: double(s.host, 64), locations: double(s.locations, 1<<10),
	}
}

// load loads the program into the kernel, with empty maps, except those that it shares.
func load(s sizes, shared map[string]*ebpf.Map) (*program, error) {
	spec, err := loadGuard()
	if err != nil {
		return nil, err
	}
	for name, size := range map[string]uint32{
		guardMapPorts: s.ports, guardMapLimits: s.ports, guardMapCounts: s.ports, guardMapBindings: s.bindings,
		guardMapRanges: s.ranges, guardMapHost: s.host, guardMapLocations: s.locations,
	} {
		spec.Maps[name].MaxEntries = size
	}
	if !seesChecksums() {
		spec.Programs[programName] = spec.Programs[programName+"_plain"]
	}
	p := &program{}
	options := &ebpf.CollectionOptions{MapReplacements: shared}
	if err := spec.LoadAndAssign(p, options); err != nil {
		var rejected *ebpf.VerifierError
		if errors.As(err, &rejected) {
			return nil, fmt.Errorf("the kernel does not accept the eBPF program: %w", err)
		}
		return nil, fmt.Errorf("loading the eBPF program and its maps: %w", err)
	}
	return p, nil
}
