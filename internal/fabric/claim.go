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

// claimName is an abstract socket address (unix(7)): one name a network namespace, freed by the kernel
// however its owner ends. It tells who has the claim. Anybody may take it, so it does not keep anybody out, but
// where there is nothing better.
const claimName = "@arpfabric"

// claims are what makes this the one fabric in the network namespace.
type claims []io.Closer

// claimNamespace makes this the one fabric in the network namespace, until the claims are closed. Its error says what to
// do about one that runs already.
func claimNamespace(instead string) (claims, error) {
	var held claims
	addr := &net.UnixAddr{Name: claimName, Net: "unix"}
	running := func() error {
		return fmt.Errorf("another fabric runs in this network namespace%s; %s", claimant(addr), instead)
	}
	claim, err := wire.Claim()
	switch {
	case err == nil:
		held = append(held, claim)
	case errors.Is(err, wire.ErrClaimed):
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

func (c claims) close() {
	for _, claim := range c {
		claim.Close()
	}
}

// claimant says which process has the claim, as far as the kernel tells.
func claimant(addr *net.UnixAddr) string {
	conn, err := net.DialTimeout(addr.Net, addr.Name, time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
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
