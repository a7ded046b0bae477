package fabric

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/arpfabric/arpfabric/internal/wire"
	"golang.org/x/sys/unix"
)

// lockName is an abstract socket address (unix(7)). It is unique in a network namespace, and the kernel frees it when
// the process ends. By it, holder finds the process that has the lock. Any process may bind it, so it is the lock
// itself only if the kernel has no NFLOG for wire.Lock.
const lockName = "@arpfabric"

// An instanceLock is held by at most one fabric in a network namespace.
type instanceLock []io.Closer

// lockInstance takes the lock. If another fabric holds it, the error names the process, if possible, and ends with
// instead, which says what to do.
func lockInstance(instead string) (instanceLock, error) {
	var held instanceLock
	addr := &net.UnixAddr{Name: lockName, Net: "unix"}
	running := func() error {
		return fmt.Errorf("another fabric runs in this network namespace%s; %s", holder(addr), instead)
	}
	lock, err := wire.Lock()
	switch {
	case err == nil:
		held = append(held, lock)
	case errors.Is(err, wire.ErrLocked):
		return nil, running()
	}
	name, err := net.ListenUnix("unix", addr)
	switch {
	case err == nil:
		held = append(held, name)
	case len(held) == 0 && errors.Is(err, unix.EADDRINUSE):
		return nil, running()
	case len(held) == 0:
		return nil, fmt.Errorf("making sure that no other fabric runs: %w", err)
	}
	return held, nil
}

func (l instanceLock) close() {
	for _, part := range l {
		part.Close()
	}
}

// holder returns " (process PID)" for the process that listens on lockName, or "" if that is unknown.
func holder(addr *net.UnixAddr) string {
	conn, err := net.DialTimeout(addr.Net, addr.Name, time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return ""
	}
	process := ""
	raw.Control(func(fd uintptr) {
		// The PID is 0 if the process is in a PID namespace that this one cannot see.
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil && cred.Pid != 0 {
			process = fmt.Sprintf(" (process %d)", cred.Pid)
		}
	})
	return process
}
