package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// RunTests runs a package's tests in a lab, and returns the exit code for TestMain to exit with. Where no lab
// can be made it says so and runs none, which is a failure only under CI=true.
func RunTests(m interface{ Run() int }) int {
	inside, code, err := Enter()
	if errors.Is(err, ErrForbidden) && !underCI() {
		fmt.Fprintln(os.Stderr, "SKIP: all tests of this package:", err)
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if !inside {
		return code
	}
	return m.Run()
}

func underCI() bool { return os.Getenv("CI") == "true" }

// A skipper is a *testing.T or *testing.B.
type skipper interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Patience is how long a test waits for what must happen: emulated machines are slow.
const Patience = 30 * time.Second

// Eventually waits until something is done, and fails the test where that takes longer than Patience.
func Eventually(t skipper, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain: %s", Patience, what)
		}
	}
}

// Lacks says that the machine lacks what a test needs: the test is skipped, or fails where nothing may be
// skipped, under CI=true.
func Lacks(t skipper, format string, args ...any) {
	t.Helper()
	if underCI() {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// KernelLacks says that the kernel lacks what a test needs: the test is skipped, under CI=true too, as it runs
// under another kernel there. STOCK_KERNEL=1 says that this is the other one, which lacks nothing: the test fails.
func KernelLacks(t skipper, format string, args ...any) {
	t.Helper()
	if os.Getenv("STOCK_KERNEL") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// NeedVLANFiltering skips a test where the kernel has no bridges that filter VLANs, or no VLAN devices.
func NeedVLANFiltering(t skipper) {
	t.Helper()
	defer DeleteLink("vlan-probe")
	err := AddBridge("vlan-probe")
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

// NeedProgram skips a test where a program isn't installed.
func NeedProgram(t skipper, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			Lacks(t, "needs %s, which is not installed", name)
		}
	}
}

// NeedTUN skips a test where /dev/net/tun can't be opened.
func NeedTUN(t skipper) {
	t.Helper()
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		Lacks(t, "needs to open /dev/net/tun: %v", err)
		return
	}
	f.Close()
}
