package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/lab"
	"golang.org/x/sys/unix"
)

// logPath is in the lab's own /run.
const logPath = "/run/arpfabric.log"

const welcome = `This shell runs on the host of a lab, where arpfabric answers on br0 in vpc mode. The guests are
app (10.239.0.101), gw (10.239.0.1) and db (10.239.0.102). When you leave the shell, the lab is removed.

    app                              opens a shell in a guest; app COMMAND runs a command there
    arpfabric watch                  shows the verdicts; status, explain and all the others work too
    app arpfabric ask 10.239.0.102   asks for an address, as a guest
    tail -f %-24s shows the log

The fabric's configuration is %s. When you change it, the fabric loads it at once.

`

const hostsWelcome = `This shell runs in a lab with the hosts %s. Each runs arpfabric, and has two guests, such as app1
(10.239.0.11) and db1 (10.239.0.12) of host1. When you leave the shell, the lab is removed.

    host1                            opens a shell on a host; host1 COMMAND runs a command there
    host1 arpfabric watch            shows the verdicts of the fabric there; the other commands work too
    app1                             opens a shell in a guest; app1 COMMAND runs a command there
    app1 ping 10.239.0.21            pings app2, through the tunnel between host1 and host2
    host1 etcdctl get --prefix /     shows what the hosts share, if etcdctl is installed
    tail -f /run/host1/log           shows the log of a fabric

The configuration of a fabric is in /run/host1.yaml. When you change it, the fabric loads it at once.

`

// Shell runs the user's shell on the testbed, with the fabric in vpc mode, and returns when the shell ends. It kills
// the processes that the shell has left in the background.
func Shell(ctx context.Context, datapath config.Datapath, out io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGHUP) // the terminal was closed
	defer stop()
	t, err := newTestbed()
	if err != nil {
		return err
	}
	defer t.remove()
	log, err := os.Create(logPath)
	if err != nil {
		return err
	}
	defer log.Close()
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if err := writeTools(t.tools()); err != nil {
		return err
	}
	err = withDaemon(ctx, datapath, logger, func(ctx context.Context) error {
		fmt.Fprintf(out, welcome, logPath, configPath)
		return runShell(ctx, "host")
	})
	if ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

// ShellHosts does the same on a testbed of a number of hosts.
func ShellHosts(ctx context.Context, number int, datapath config.Datapath, out io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGHUP)
	defer stop()
	t, err := newHostsTestbed(ctx, number, datapath)
	if err == nil {
		defer t.remove()
		err = writeTools(t.tools())
	}
	if err == nil {
		fmt.Fprintf(out, hostsWelcome, t.first().Name+" to "+t.last().Name)
		err = runShell(ctx, "lab")
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

// runShell runs the user's shell until it ends, and ignores its exit code. The prompt says where the user is.
func runShell(ctx context.Context, place string) error {
	// Before the shell starts: only then do its orphans become children of this process, for endLeftovers to kill.
	const unused = 0
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, unused, unused, unused); err != nil {
		return fmt.Errorf("becoming the parent of the shell's orphaned processes: %w", err)
	}
	runtime.LockOSThread() // the kernel sends Pdeathsig when the thread that started the shell ends
	defer runtime.UnlockOSThread()
	ours, err := children() // the programs of the testbed
	if err != nil {
		return err
	}
	program := userShell()
	args, env, err := prompt(program, place)
	if err != nil {
		return err
	}
	shell := exec.CommandContext(ctx, program, args...)
	shell.Env = append(lab.Environ(), append(env, "PATH="+toolsPath+":"+os.Getenv("PATH"))...)
	shell.Stdin, shell.Stdout, shell.Stderr = os.Stdin, os.Stdout, os.Stderr
	shell.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	shell.Cancel = func() error { return shell.Process.Signal(unix.SIGHUP) } // as if the terminal were closed
	shell.WaitDelay = time.Second
	err = shell.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); ended || err == nil {
		return endLeftovers(ours)
	}
	return fmt.Errorf("running your shell (SHELL in the environment): %w", err)
}

func userShell() string {
	if shell := os.Getenv("SHELL"); shell != "" {
		return shell
	}
	return "/bin/sh"
}

// endLeftovers kills the processes that the shell has left in the background. They have become children of this
// process, and so do their own children when they end: it repeats until only those are left that were there before.
func endLeftovers(before []int) error {
	for {
		children, err := children()
		children = slices.DeleteFunc(children, func(pid int) bool { return slices.Contains(before, pid) })
		if err != nil || len(children) == 0 {
			return err
		}
		for _, pid := range children {
			_ = unix.Kill(pid, unix.SIGKILL)
			if _, err := unix.Wait4(pid, nil, 0, nil); err != nil {
				return fmt.Errorf("ending process %d, which the shell left behind: %w", pid, err)
			}
		}
	}
}

// children returns this process's children (proc(5), /proc/pid/task/tid/children).
func children() ([]int, error) {
	files, err := filepath.Glob("/proc/self/task/*/children")
	var pids []int
	for _, file := range files {
		list, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // the thread has ended since
			return nil, err
		}
		for field := range strings.FieldsSeq(string(list)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return nil, err
			}
			pids = append(pids, pid)
		}
	}
	return pids, err
}
