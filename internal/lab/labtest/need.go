package labtest

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"golang.org/x/sys/unix"
)

// DatapathVariable is the environment variable that chooses the datapath of tests that could have either: user, or else kernel
// where this user may have it.
const DatapathVariable = "ARPFABRIC_TEST_DATAPATH"

func underCI() bool { return os.Getenv("CI") == "true" }

// Lacks skips a test because the machine lacks something. Under CI=true, where no test may be skipped, it fails the
// test.
func Lacks(t testing.TB, format string, args ...any) {
	t.Helper()
	if underCI() {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// KernelLacks skips a test because the kernel lacks something, even under CI=true: CI runs the same test under another
// kernel. With STOCK_KERNEL=1, which says that this is that other kernel, it fails the test.
func KernelLacks(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("STOCK_KERNEL") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// NeedVLANFiltering skips a test if the kernel has no bridges that filter VLANs, or no VLAN devices.
func NeedVLANFiltering(t testing.TB) {
	t.Helper()
	defer lab.DeleteLink("vlan-probe")
	err := lab.AddBridge("vlan-probe")
	if err == nil {
		err = FilterVLANs("vlan-probe", true)
	}
	if err == nil {
		err = AddVLANDevice("vlan-probe.10", "vlan-probe", 10)
	}
	if errors.Is(err, unix.EOPNOTSUPP) {
		KernelLacks(t, "needs bridges that filter VLANs, and VLAN devices (CONFIG_BRIDGE_VLAN_FILTERING, "+
			"CONFIG_VLAN_8021Q): %v", err)
	} else if err != nil {
		t.Fatalf("probing for VLANs: %v", err)
	}
}

// NeedProgram skips a test if one of the programs is not installed.
func NeedProgram(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			Lacks(t, "needs %s, which is not installed", name)
		}
	}
}

// NeedTUN skips a test if /dev/net/tun cannot be opened.
func NeedTUN(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		Lacks(t, "needs to open /dev/net/tun: %v", err)
		return
	}
	f.Close()
}
