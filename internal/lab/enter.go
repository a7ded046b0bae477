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

// insideVariable is set in the environment of a program that Enter has moved.
const insideVariable = "ARPFABRIC_LAB"

// ErrForbidden says that the machine does not let this user make a lab.
var ErrForbidden = errors.New("this machine does not let you make network namespaces; run it as root " +
	"(in a container: with CAP_SYS_ADMIN and CAP_NET_ADMIN, as docker's --privileged gives them), or let users make " +
	"namespaces: sysctl -w user.max_user_namespaces=10000 user.max_net_namespaces=10000, and where they exist " +
	"kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0")

// Enter runs the program again, with the same arguments, in a network and a mount namespace of its own,
// and waits for it. There, Enter sets the namespaces up and returns inside = true; here, it returns the exit
// code for the caller to exit with. An ordinary user gets a user namespace too, and the privileges in it.
//
// It returns ErrForbidden where that isn't allowed.
func Enter() (inside bool, code int, err error) {
	if os.Getenv(insideVariable) != "" {
		return true, 0, setUp()
	}
	code, err = runInside()
	return false, code, err
}

// Environ is os.Environ for a program that may call Enter itself: a user's shell.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, insideVariable+"=") })
}

func runInside() (code int, err error) {
	runtime.LockOSThread() // Pdeathsig is sent when the thread ends that started the child
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	cmd.SysProcAttr = namespaces()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP) // first, so that none is missed
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
		return 128 + int(status.Signal()), nil // as a shell says it
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

// privileges are the capabilities that an ordinary user has in the lab. The user is not root there, as a
// program such as tcpdump that finds itself root tries to become somebody else, and there is nobody else.
var privileges = []uintptr{
	unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_NET_BIND_SERVICE, // the network
	unix.CAP_SYS_ADMIN, unix.CAP_SYS_CHROOT, unix.CAP_DAC_OVERRIDE, // namespaces and mounts
	unix.CAP_SETPCAP, // giving these up
}

// forward hands signals on to p until it has ended.
func forward(signals <-chan os.Signal, p *os.Process, ended <-chan struct{}) {
	for {
		select {
		case s := <-signals:
			p.Signal(s)
		case <-ended:
			return
		}
	}
}

// setUp makes the new namespaces usable: mounts stay here, /run/netns is there for named network
// namespaces, as ip(8) wants it, and the loopback interface is up.
func setUp() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return forbidden("making mounts private", err)
	}
	if err := unix.Mount("lab", "/run", "tmpfs", 0, "mode=0755"); err != nil {
		return forbidden("mounting /run", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("finding lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return forbidden("setting lo up", err)
	}
	return nil
}

// forbidden explains why a namespace that could be made can't be used: some distributions take all
// privileges away in it.
func forbidden(what string, err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%s: %w", what, ErrForbidden)
	}
	return fmt.Errorf("%s: %w", what, err)
}
