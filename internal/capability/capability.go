package capability

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// needed has the capabilities that the program may need, as bits of a set.
const needed = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW

// Raise makes CAP_NET_ADMIN and CAP_NET_RAW effective in all threads of the process, as far as they are permitted. It
// returns nil if none is permitted. In a program with cgo, it returns an error if there is anything to raise.
func Raise() error {
	sets, err := get()
	if err != nil {
		return fmt.Errorf("reading the program's capabilities: %w", err)
	}
	raised := sets[0].Effective | sets[0].Permitted&needed
	if raised == sets[0].Effective {
		return nil
	}
	sets[0].Effective = raised
	if err := set(sets); err != nil {
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
