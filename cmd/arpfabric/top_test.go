package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"golang.org/x/sys/unix"
)

// openTerminal makes a pseudo-terminal of 120 columns and 40 lines. What is written to it appears in text.
func openTerminal(t *testing.T) (keyboard, terminal *os.File, screen *output) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		labtest.Lacks(t, "needs a pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { keyboard.Close() })
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	labtest.Must(t, err)
	labtest.Must(t, unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0))
	labtest.Must(t, unix.IoctlSetWinsize(int(keyboard.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 120}))
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		labtest.Lacks(t, "needs the pseudo-terminals of /dev/pts: %v", err)
	}
	screen = &output{}
	go io.Copy(screen, keyboard)
	return keyboard, terminal, screen
}

// TestTop uses 'arpfabric top' on a terminal: it shows the ports, explains one, and ends.
func TestTop(t *testing.T) {
	skipIfShort(t)
	if code, out := runToEnd(t, nil, "top"); code != 1 || !strings.Contains(out, "no arpfabric is running") {
		t.Errorf("without a fabric: exit code %d\n%s", code, out)
	}
	if code, out := runToEnd(t, nil, "top", "--every", "1ms"); code != 2 || !strings.Contains(out, "at least 100ms") {
		t.Errorf("too fast: exit code %d\n%s", code, out)
	}
	s := newStage(t)
	arpfabric(t, nil, "run", "--config", labtest.TempFile(t, "lab.yaml", onBridge(""))).expectLog(t, "network attached")
	labtest.Eventually(t, "the fabric answers", func() bool { code, _ := runToEnd(t, nil, "status"); return code == 0 })
	if code, out := runToEnd(t, nil, "top"); code != 1 || !strings.Contains(out, "top needs a terminal") {
		t.Errorf("without a terminal: exit code %d\n%s", code, out)
	}
	labtest.Must(t, s.app.Send(s.app.request("10.239.0.77")))

	keyboard, terminal, screen := openTerminal(t)
	p := launch(t, func(cmd *exec.Cmd) error {
		defer terminal.Close()
		cmd.Env = append(cmd.Env, "TERM=xterm-256color")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
		return cmd.Start()
	}, nil, "top", "--every", "100ms")
	see := func(what string) {
		t.Helper()
		labtest.Eventually(t, fmt.Sprintf("%q is on the screen", what), func() bool { return strings.Contains(screen.String(), what) })
	}
	see("unknown-target")
	io.WriteString(keyboard, "/vnet1\r\r") // a filter, and the explanation of the only row
	see("10.239.0.77")
	io.WriteString(keyboard, "qq")
	if code := p.wait(t); code != 0 {
		t.Errorf("exit code %d\n%q", code, screen.String())
	}
}
