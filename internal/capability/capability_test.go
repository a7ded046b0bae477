package capability

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inChild names the environment variable with the scenario for a child process, whose capabilities may change.
const inChild = "ARPFABRIC_TEST_CAPABILITY"

func TestMain(m *testing.M) {
	scenario, ok := scenarios[os.Getenv(inChild)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := scenario(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// In a child, the needed capabilities are permitted and effective.
var scenarios = map[string]func() error{
	"raises what is permitted": func() error {
		return raise(sets{{Permitted: needed[0]}, {Permitted: needed[1]}}, "000000c000003000")
	},
	"raises a part": func() error {
		return raise(sets{{Permitted: 1 << unix.CAP_NET_RAW}}, "0000000000002000")
	},
	"has nothing to raise": func() error {
		return raise(sets{}, "0000000000000000")
	},
	"is already raised": func() error {
		return raise(sets{{Permitted: needed[0], Effective: needed[0]}, {Permitted: needed[1], Effective: needed[1]}},
			"000000c000003000")
	},
	"has what was raised": func() error {
		if err := raise(sets{{}, {Permitted: 1 << (unix.CAP_BPF % 32)}}, "0000008000000000"); err != nil {
			return err
		}
		if !Has(unix.CAP_BPF) || Has(unix.CAP_PERFMON) || Has(unix.CAP_NET_ADMIN) {
			return errors.New("Has does not have CAP_BPF, or has more")
		}
		return nil
	},
}

// raise sets capabilities, calls Raise, and expects the wanted effective capabilities in all threads.
func raise(initial sets, want string) error {
	if err := set(initial); err != nil {
		return fmt.Errorf("setting %+v: %w", initial, err)
	}
	if err := Raise(); err != nil {
		return err
	}
	threads, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(threads) < 2 {
		return fmt.Errorf("%d threads (%v)", len(threads), err)
	}
	for _, path := range threads {
		status, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if got := effective.FindSubmatch(status); got == nil || string(got[1]) != want {
			return fmt.Errorf("%s: %q, want %s", path, got, want)
		}
	}
	return nil
}

var effective = regexp.MustCompile(`(?m)^CapEff:\t(.*)$`)

func TestRaise(t *testing.T) {
	for name := range scenarios {
		t.Run(name, func(t *testing.T) {
			child := exec.Command("/proc/self/exe")
			child.Env = append(os.Environ(), inChild+"="+name)
			child.SysProcAttr = privileged()
			out, err := child.CombinedOutput()
			if strings.Contains(string(out), syscall.ENOTSUP.Error()) {
				t.Skip("the test program uses cgo, which the race detector needs")
			}
			if errors.Is(err, unix.EPERM) && os.Getenv("CI") != "true" {
				t.Skip("this machine does not allow user namespaces")
			}
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// privileged gives an ordinary user's child the capabilities in a user namespace.
func privileged() *syscall.SysProcAttr {
	if os.Geteuid() == 0 {
		return nil
	}
	return &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}},
		AmbientCaps: []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_BPF, unix.CAP_PERFMON},
	}
}
