package config

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

const small = `
networks:
  lab:
    attach: {bridge: br0}
    registry: {10.239.0.1: "02:00:00:de:54:a8"}
`

// pipeWith returns the path of a pipe with text in it, as the shell's <(COMMAND) has.
func pipeWith(t *testing.T, text string) string {
	t.Helper()
	read, write, err := os.Pipe()
	labtest.Must(t, err)
	t.Cleanup(func() { read.Close() })
	_, err = write.WriteString(text)
	labtest.Must(t, err)
	labtest.Must(t, write.Close())
	return fmt.Sprintf("/dev/fd/%d", read.Fd())
}

func TestLoadOnce(t *testing.T) {
	file := labtest.TempFile(t, "lab.yaml", small)
	fifo := filepath.Join(t.TempDir(), "fifo")
	labtest.Must(t, syscall.Mkfifo(fifo, 0o600))
	stdin := os.Stdin
	t.Cleanup(func() { os.Stdin = stdin })
	in, err := os.Open(file)
	labtest.Must(t, err)
	os.Stdin = in
	tests := []struct{ name, path, problem string }{
		{"file", file, ""},
		{"pipe", pipeWith(t, small), ""},
		{"standard input", Stdin, ""},
		{"empty pipe", pipeWith(t, ""), "the file is empty: a configuration needs at least networks"},
		{"nobody writes", fifo, "the file is empty: a configuration needs at least networks"},
		{"device", "/dev/zero", "not a regular file, but a pipe, a socket or a device"},
		{"nothing", file + ".no", "cannot read the file: no such file or directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := LoadOnce(tt.path)
			if tt.problem != "" {
				if want := tt.path + ": " + tt.problem; err == nil || err.Error() != want {
					t.Errorf("error %v, want %s", err, want)
				}
				return
			}
			labtest.Must(t, err)
			if len(c.Networks) != 1 || c.Path != tt.path || c.Digest != Digest(c.Files) {
				t.Errorf("%d networks, path %s, %v", len(c.Networks), c.Path, c.Files)
			}
		})
	}
}

// TestPipeCannotBeReadAgain checks that a pipe does not look changed, and that Load of it is an error.
func TestPipeCannotBeReadAgain(t *testing.T) {
	pipe := pipeWith(t, small)
	c, err := LoadOnce(pipe)
	labtest.Must(t, err)
	if c.Digest != Digest(c.Files) {
		t.Error("the pipe looks changed")
	}
	want := pipe + ": not a regular file, but a pipe, a socket or a device"
	if _, err := Load(pipe); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
