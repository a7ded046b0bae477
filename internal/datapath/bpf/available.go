package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Available returns nil if this process can load the program into this kernel, or else an error that says what is missing.
func Available() error {
	p, err := load(sizes{}.withRoom(), nil)
	switch {
	case err == nil:
		return p.Close()
	case errors.Is(err, unix.EPERM):
		return errors.New("the process may not load eBPF programs; it needs CAP_BPF (before Linux 5.8 CAP_SYS_ADMIN) " +
			"beside CAP_NET_ADMIN, outside of a user namespace")
	case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("this kernel lacks something that the eBPF program needs: %w", err)
	}
	return err
}
