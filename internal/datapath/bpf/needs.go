package bpf

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/arpfabric/arpfabric/internal/capability"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"
)

// Missing returns what this process or this kernel lacks for the datapath of eBPF, for people. It returns none if the
// datapath can be used: the kernel has accepted the program and its maps, which Missing removes again.
func Missing() []string {
	p, err := load(sizes{}.withRoom(), nil)
	if err == nil {
		p.Close()
		if capability.Has(unix.CAP_NET_ADMIN) { // or else the program cannot be attached
			return nil
		}
	}
	// The cause that is nearest to what people can change comes first. If it applies, the kernel does not even look at the
	// others.
	for _, causes := range []func() []string{missingNamespace, missingCapabilities, missingFeatures} {
		if found := causes(); len(found) > 0 {
			return found
		}
	}
	if errors.Is(err, unix.EPERM) {
		return []string{"bpf(2), which a seccomp filter or the kernel's lockdown forbids"}
	}
	return []string{fmt.Sprintf("a kernel that accepts the program: %v", err)}
}

// missingNamespace reports a user namespace. The kernel checks the capabilities for eBPF outside of all of them.
func missingNamespace() []string {
	mapping, err := os.ReadFile("/proc/self/uid_map")
	if err != nil || slices.Equal(strings.Fields(string(mapping)), []string{"0", "0", "4294967295"}) {
		return nil
	}
	return []string{"privileges outside of this user namespace, as root of the machine has them"}
}

func missingCapabilities() (missing []string) {
	if !capability.Has(unix.CAP_NET_ADMIN) {
		missing = append(missing, "CAP_NET_ADMIN")
	}
	if capability.Has(unix.CAP_SYS_ADMIN) {
		return missing
	}
	// The verifier forbids arithmetic with pointers, which the program needs, to processes without CAP_PERFMON.
	for _, needed := range []struct {
		capability int
		name       string
	}{{unix.CAP_BPF, "CAP_BPF"}, {unix.CAP_PERFMON, "CAP_PERFMON"}} {
		if !capability.Has(needed.capability) {
			missing = append(missing, needed.name)
		}
	}
	return missing
}

// missingFeatures tries the kernel's features that the program uses, one by one.
func missingFeatures() (missing []string) {
	spec, err := loadGuard()
	if err != nil {
		return nil
	}
	lacks := func(err error) bool { return errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.ENOSYS) }
	if lacks(features.HaveProgramType(ebpf.SchedCLS)) {
		missing = append(missing, "a kernel with CONFIG_BPF_SYSCALL and eBPF programs for tc")
	}
	types := map[ebpf.MapType]bool{}
	for _, m := range spec.Maps {
		types[m.Type] = true
	}
	for _, t := range slices.Sorted(maps.Keys(types)) {
		if lacks(features.HaveMapType(t)) {
			missing = append(missing, fmt.Sprintf("a kernel with eBPF maps of the type %s", t))
		}
	}
	return missing
}
