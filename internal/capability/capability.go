package capability

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// needed has the capabilities that the program may need.
var needed = setOf(unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_BPF, unix.CAP_PERFMON)

// setOf returns a set of capabilities, with 32 of them in each element, as capget(2) has them.
func setOf(capabilities ...int) (s [2]uint32) {
	for _, c := range capabilities {
		s[c/32] |= 1 << (c % 32)
	}
	return s
}

// Has reports whether a capability is effective in this thread.
func Has(capability int) bool {
	sets, err := get()
	return err == nil && sets[capability/32].Effective&(1<<(capability%32)) != 0
}

// Raise makes the capabilities that the program may need effective in all threads of the process, as far as they are
// permitted. It returns nil if none is permitted. In a program with cgo, it returns an error if there is anything to raise.
func Raise() error {
	sets, err := get()
	if err != nil {
		return fmt.Errorf("reading the program's capabilities: %w", err)
	}
	raised := sets
	for i := range sets {
		raised[i].Effective |= sets[i].Permitted & needed[i]
	}
	if raised == sets {
		return nil
	}
	if err := set(raised); err != nil {
		return fmt.Errorf("raising the capabilities granted by the program's file: %w", err)
	}
	return nil
}

// sets are the capability sets of a thread (capget(2)), with 32 capabilities in each element.
type sets [2]unix.CapUserData

func get() (s sets, err error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	return s, unix.Capget(&header, &s[0])
}

// set changes the sets of all threads, because Go runs goroutines on any of them.
func set(s sets) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&s[0])), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
