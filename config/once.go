package config

import (
	"io"
	"os"
	"syscall"
)

// Stdin is the path that stands for standard input in [LoadOnce].
const Stdin = "-"

// LoadOnce is like [Load], but the YAML may also come from standard input, if the path is [Stdin], or from a pipe, such
// as the shell's <(COMMAND). Both can be read only once: [Load] of the same path returns a problem later.
func LoadOnce(path string) (*Config, error) {
	return loadFrom(path, func() (io.ReadCloser, error) { return openOnce(path) })
}

func openOnce(path string) (io.ReadCloser, error) {
	if path == Stdin {
		return io.NopCloser(os.Stdin), nil
	}
	if !isPipe(path) {
		return openRegular(path)
	}
	// With O_NONBLOCK, open(2) does not wait for a writer. A pipe without one is an empty file.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	return f, withoutPath(err)
}

func isPipe(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&os.ModeNamedPipe != 0
}
