package fabric

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// claimName is an abstract socket address (unix(7)): one name a network namespace, freed by the kernel
// however its owner ends.
const claimName = "@arpfabric"

// claimNamespace makes this the one fabric in the network namespace, until the claim is closed.
func claimNamespace() (*net.UnixListener, error) {
	addr := &net.UnixAddr{Name: claimName, Net: "unix"}
	claim, err := net.ListenUnix("unix", addr)
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, fmt.Errorf("another fabric runs in this network namespace%s; "+
			"stop it, or add your network to its configuration", claimant(addr))
	}
	if err != nil {
		return nil, fmt.Errorf("making sure that no other fabric runs: %w", err)
	}
	return claim, nil
}

// claimant says which process has the claim, as far as the kernel tells.
func claimant(addr *net.UnixAddr) string {
	conn, err := net.DialUnix("unix", nil, addr)
	if err != nil {
		return ""
	}
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return ""
	}
	who := ""
	raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil && cred.Pid != 0 {
			who = fmt.Sprintf(" (process %d)", cred.Pid)
		}
	})
	return who
}
