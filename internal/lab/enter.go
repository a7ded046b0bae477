package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// insideVariable is set in the environment of a program that Enter has moved into namespaces.
const insideVariable = "ARPFABRIC_LAB"

// ErrForbidden is the error of [Enter] if the machine does not let this user make namespaces.
var ErrForbidden = errors.New("this machine does not let you make network namespaces; run it as root " +
	"(in a container: with CAP_SYS_ADMIN and CAP_NET_ADMIN, as docker's --privileged gives them), or let users make " +
	"namespaces: sysctl -w user.max_user_namespaces=10000 user.max_net_namespaces=10000, and where they exist " +
	"kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0")

// Enter runs the program again, with the same arguments, in a new network and mount namespace, and waits for it to end.
// In the new process, Enter sets the namespaces up and returns inside = true. In the old process, it returns the exit
// code for the caller to exit with. For an ordinary user it makes a user namespace too, with privileges in it.
//
// It returns [ErrForbidden] if the user may not make namespaces.
func Enter() (inside bool, code int, err error) {
	if IsInside() {
		return true, 0, setUp()
	}
	code, err = Run(os.Args[1:], os.Stdout)
	return false, code, err
}

// IsInside reports whether Enter has moved this program into namespaces.
func IsInside() bool { return os.Getenv(insideVariable) != "" }

// Environ returns os.Environ for a program that may call Enter itself, such as the user's shell.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, insideVariable+"=") })
}

// Run runs the program again with these arguments, in new namespaces, and returns its exit code. The new process must
// call Enter, which sets the namespaces up.
func Run(args []string, stdout *os.File) (code int, err error) {
	runtime.LockOSThread() // the kernel sends Pdeathsig when the thread that started the child ends
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	cmd.SysProcAttr = namespaces()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP) // before the child starts, so that it misses none
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS) {
			return 0, ErrForbidden
		}
		return 0, fmt.Errorf("making namespaces for the lab: %w", err)
	}
	ended := make(chan struct{})
	defer close(ended)
	go forward(signals, cmd.Process, ended)
	if err := cmd.Wait(); err != nil && cmd.ProcessState == nil {
		return 0, err
	}
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal()), nil // as shells report it
	}
	return cmd.ProcessState.ExitCode(), nil
}

func namespaces() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS,
		Pdeathsig:  unix.SIGKILL,
	}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
		attr.AmbientCaps = privileges
	}
	return attr
}

// privileges are the capabilities that an ordinary user has in the lab. The user is not root there: programs such as
// tcpdump, when run as root, try to switch to another user, and the user namespace has no other user.
var privileges = []uintptr{
	unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_NET_BIND_SERVICE, // the network
	unix.CAP_SYS_ADMIN, unix.CAP_SYS_CHROOT, unix.CAP_DAC_OVERRIDE, // namespaces and mounts
	unix.CAP_SETPCAP, // dropping capabilities
}

// forward sends signals on to p until ended is closed.
func forward(signals <-chan os.Signal, p *os.Process, ended <-chan struct{}) {
	for {
		select {
		case s := <-signals:
			_ = p.Signal(s)
		case <-ended:
			return
		}
	}
}

// setUp makes the new namespaces usable: it keeps mounts from spreading to the machine, mounts an empty /run, where
// ip-netns(8) has the names of network namespaces, hides the machine's store, and sets the loopback interface up.
func setUp() error {
	// This comes first: where mounts are shared, as systemd sets them up, the new /run would be mounted outside too.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return forbidden("making mounts private", err)
	}
	if err := unix.Mount("lab", "/run", "tmpfs", 0, "mode=0755"); err != nil {
		return forbidden("mounting /run", err)
	}
	if err := hideStore(); err != nil {
		return err
	}
	return setUpLoopback()
}

// setUpLoopback sets the loopback interface of the network namespace up.
func setUpLoopback() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("finding lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return forbidden("setting lo up", err)
	}
	return nil
}

// hideStore keeps the machine's allocations out of the lab, if there are any: a fabric in the lab would put them in force,
// or find the store locked.
func hideStore() error {
	const folder = "/var/lib/arpfabric"
	if _, err := os.Stat(folder); err != nil {
		return nil
	}
	if err := unix.Mount("lab", folder, "tmpfs", 0, "mode=0700"); err != nil {
		return forbidden("mounting "+folder, err)
	}
	return nil
}

// forbidden returns [ErrForbidden] for a namespace that was made but grants no privileges: some distributions restrict
// user namespaces in this way.
func forbidden(action string, err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%s: %w", action, ErrForbidden)
	}
	return fmt.Errorf("%s: %w", action, err)
}
