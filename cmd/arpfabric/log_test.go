package main

import (
	"os"
	"os/exec"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"golang.org/x/sys/unix"
)

// TestLogThatCannotBeWritten checks that the fabric answers, and stops in order, although every line of its log is
// lost.
func TestLogThatCannotBeWritten(t *testing.T) {
	tests := []struct {
		name string
		open func(t *testing.T) *os.File
	}{
		{"full disk", openFull},
		{"reader is gone", openBrokenPipe},
		{"reader has stopped", openFullPipe},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			log := tt.open(t)
			path := labtest.TempFile(t, "arpfabric.yaml", onBridge("log: {level: debug}\n"))
			p := launch(t, func(cmd *exec.Cmd) error {
				cmd.Stderr = log
				return cmd.Start()
			}, nil, "run", "--config", path)
			labtest.Eventually(t, "the guard is there", func() bool { return guardIsThere(t) })
			s.app.expectAnswered(t)
			before := s.db.heard() // frames from before the guard was installed
			forged := s.app.request("10.239.0.1")
			copy(forged[28:32], []byte{10, 239, 0, 102}) // the sender's address: a violation
			for range 100 {
				s.app.Send(forged)
				s.app.expectAnswered(t)
			}
			labtest.Write(t, path, "networks:")
			labtest.Must(t, p.Process.Signal(unix.SIGHUP)) // the reload fails, which is logged
			for range 100 {
				s.app.expectAnswered(t)
			}
			if n := s.db.heard(); n > before {
				t.Errorf("db heard %d ARP frames", n-before)
			}
			labtest.Must(t, p.Process.Signal(unix.SIGTERM))
			if code := p.wait(t); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if guardIsThere(t) {
				t.Error("the guard is still there")
			}
		})
	}
}

func openFull(t *testing.T) *os.File {
	t.Helper()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	labtest.Must(t, err)
	t.Cleanup(func() { full.Close() })
	if _, err := full.WriteString("a line"); err == nil {
		t.Fatal("/dev/full is not full")
	}
	return full
}

func openBrokenPipe(t *testing.T) *os.File {
	t.Helper()
	reader, writer, err := os.Pipe()
	labtest.Must(t, err)
	labtest.Must(t, reader.Close())
	t.Cleanup(func() { writer.Close() })
	return writer
}

// openFullPipe returns a pipe that is full and that nobody reads.
func openFullPipe(t *testing.T) *os.File {
	t.Helper()
	reader, writer, err := os.Pipe()
	labtest.Must(t, err)
	t.Cleanup(func() { reader.Close(); writer.Close() })
	capacity, err := unix.FcntlInt(writer.Fd(), unix.F_GETPIPE_SZ, 0)
	labtest.Must(t, err)
	_, err = writer.Write(make([]byte, capacity))
	labtest.Must(t, err)
	return writer
}
