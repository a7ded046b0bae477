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
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/lab"
	"golang.org/x/sys/unix"
)

// logPath is in the lab's own /run.
const logPath = "/run/arpfabric.log"

const welcome = `This shell is on the host of a lab, where the fabric answers on br0 in vpc mode. The guests are
app (10.239.0.101), gw (10.239.0.1) and db (10.239.0.102). Leaving the shell removes all of it.

    %-30s enters a guest
    %-30s shows the fabric's verdict on every frame
    %-30s is the configuration

`

// Shell runs the user's shell on the stage, with the fabric in vpc mode, and ends when the shell does.
// Nothing that was started in the shell is left running.
func Shell(ctx context.Context, out io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGHUP) // the terminal was closed
	defer stop()
	stage, err := build()
	if err != nil {
		return err
	}
	defer stage.remove()
	log, err := os.Create(logPath)
	if err != nil {
		return err
	}
	defer log.Close()
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	err = withFabric(ctx, config.VPC, logger, func(ctx context.Context, _ *fabric.Fabric) error {
		fmt.Fprintf(out, welcome, enterCommand(), "tail -f "+logPath, "cat "+configPath)
		return runShell(ctx)
	})
	if ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

// enterCommand is what a user types in the shell to get into a guest.
func enterCommand() string {
	if _, err := exec.LookPath("ip"); err != nil {
		return "nsenter --net=/run/netns/app sh"
	}
	return "ip netns exec app sh"
}

// runShell runs the user's shell until it ends. With what it ends is none of the demo's business.
func runShell(ctx context.Context) error {
	const leaveAlone = 0
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, leaveAlone, leaveAlone, leaveAlone); err != nil {
		return fmt.Errorf("becoming the parent of what the shell leaves behind: %w", err)
	}
	runtime.LockOSThread() // Pdeathsig is sent when the thread ends that started the shell
	defer runtime.UnlockOSThread()
	shell := exec.CommandContext(ctx, userShell())
	shell.Env = lab.Environ()
	shell.Stdin, shell.Stdout, shell.Stderr = os.Stdin, os.Stdout, os.Stderr
	shell.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	shell.Cancel = func() error { return shell.Process.Signal(unix.SIGHUP) } // as if its terminal were closed
	shell.WaitDelay = time.Second
	err := shell.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); ended || err == nil {
		return endLeftovers()
	}
	return fmt.Errorf("running your shell (SHELL in the environment): %w", err)
}

func userShell() string {
	if shell := os.Getenv("SHELL"); shell != "" {
		return shell
	}
	return "/bin/sh"
}

// endLeftovers kills what ran in the shell's background: all that is left of it are children of this process
// now, and the children of those will be.
func endLeftovers() error {
	for {
		children, err := children()
		if err != nil || len(children) == 0 {
			return err
		}
		for _, pid := range children {
			unix.Kill(pid, unix.SIGKILL)
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
		if err != nil && !errors.Is(err, os.ErrNotExist) { // the thread may have ended
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
