package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// A program is one load of the eBPF program, with its maps. Its maps can't grow: a plan that needs larger ones gets
// another program, which replaces this one at every port.
type program struct{ guardObjects }

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
	p := &program{}
	types, err := typesInstead()
	if err != nil {
		return nil, err
	}
	options := &ebpf.CollectionOptions{MapReplacements: shared, Programs: ebpf.ProgramOptions{KernelTypes: types}}
	if err := spec.LoadAndAssign(&p.guardObjects, options); err != nil {
		var rejected *ebpf.VerifierError
		if errors.As(err, &rejected) {
			return nil, fmt.Errorf("the kernel does not accept the eBPF program: %w", err)
		}
		return nil, fmt.Errorf("loading the eBPF program and its maps: %w", err)
	}
	return p, nil
}

// typesInstead returns no types for a kernel that does not describe its own (CONFIG_DEBUG_INFO_BTF), and nil for others. Without
// a description, the program reads nothing of the kernel's structs, as on kernels before 6.2.
func typesInstead() (*btf.Spec, error) {
	if _, err := btf.LoadKernelSpec(); !errors.Is(err, ebpf.ErrNotSupported) {
		return nil, nil // other errors are those of loading the program
	}
	none, err := btf.NewBuilder(nil, nil)
	if err != nil {
		return nil, err
	}
	return none.Spec()
}
