package bpf

import (
	"errors"
	"runtime"
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/datapath/nft"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/registrytest"
	"golang.org/x/sys/unix"
)

// TestFailure applies a plan when no program can be loaded: the datapath beneath takes over, and Failure says why until a
// plan needs no program.
func TestFailure(t *testing.T) {
	if missing := Missing(); len(missing) > 0 {
		t.Skipf("eBPF needs %q", missing)
	}
	addPorts(t)
	links, err := link.ReadSnapshot()
	labtest.Must(t, err)
	beneath := nft.New()
	d := New(beneath)
	labtest.Must(t, d.Open())
	labtest.Must(t, d.openAnswers())
	t.Cleanup(func() { d.Close() })
	t.Cleanup(func() { d.Remove() })
	labtest.Must(t, d.answers.ring.Close()) // which each program needs
	plan := datapath.Plan{Networks: []datapath.Network{{
		Name: "lab", Bridge: "br0", Guests: guestPorts, ARP: datapath.HandOver, AllowList: datapath.Enforce,
		Registry: registrytest.Many(t, 10, 1),
	}}}
	labtest.Must(t, d.Apply(plan, links))
	if d.Failure() == nil || isAnyAttached() || len(beneath.Parts()) == 0 {
		t.Errorf("failure %v, programs attached: %t, beneath: %q", d.Failure(), isAnyAttached(), beneath.Parts())
	}
	labtest.Must(t, d.Apply(datapath.Plan{}, links))
	if err := d.Failure(); err != nil {
		t.Errorf("without a network: %v", err)
	}
}

// TestKernelWithoutTypes loads the program where the kernel does not describe its types (CONFIG_DEBUG_INFO_BTF).
func TestKernelWithoutTypes(t *testing.T) {
	hidden := make(chan error)
	go func() { // on a thread that ends, and with it its mounts
		runtime.LockOSThread()
		hidden <- func() error {
			if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
				return err
			}
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				return err
			}
			for _, described := range []string{"/sys/kernel/btf", "/boot", "/lib/modules", "/usr/lib/debug"} {
				if err := unix.Mount("none", described, "tmpfs", 0, ""); err != nil && !errors.Is(err, unix.ENOENT) {
					return err
				}
			}
			before := seesChecksums
			seesChecksums = findChecksums
			defer func() { seesChecksums = before }()
			p, err := load(sizes{}.withRoom(), nil)
			if err != nil {
				return err
			}
			return p.Close()
		}()
	}()
	labtest.Must(t, <-hidden)
}
