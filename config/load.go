package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"syscall"
)

// maxYAML is the largest size of a YAML file, in bytes: about 300 thousand bindings. Larger registries belong in ethers
// files, which have no limit.
const maxYAML = 16 << 20

// Load reads the configuration in a YAML file, and in the registry_files, registry_dir and hosts_files that it names, relative
// to the YAML file's folder. Its error is always a [Problems] with all mistakes. The Config then only has its Path, its Files and their
// Digest; Files are those that were read, and those that are named but could not be read.
func Load(path string) (*Config, error) {
	return loadFrom(path, func() (io.ReadCloser, error) { return openRegular(path) })
}

// loadFrom is Load, with a function that opens the YAML file.
func loadFrom(path string, open func() (io.ReadCloser, error)) (*Config, error) {
	r := &report{file: path}
	r.willRead(path)
	data, err := readYAML(open)
	if err != nil {
		r.add(place{}, "%s", err)
		return r.unusable(), r.problems
	}
	return r.load(data)
}

// willRead records the digest of a file before the file is read. If another program writes the file in between, the
// digest is the older one, and a comparison causes another reading. With the newer digest, the change would go
// unnoticed.
func (r *report) willRead(path string) {
	r.read = append(r.read, path)
	r.digests = append(r.digests, digestOf(path)...)
}

// unusable returns the Config that Load returns with problems.
func (r *report) unusable() *Config {
	return &Config{Path: r.file, Files: r.read, Digest: sha256.Sum256(r.digests)}
}

// load converts the YAML file's content to a configuration.
func (r *report) load(data []byte) (*Config, error) {
	var config *Config
	if root := r.parseYAML(data); root != nil {
		var raw rawConfig
		r.decode(root, place{line: root.Line}, reflect.ValueOf(&raw).Elem())
		config = r.convert(&raw)
	}
	if len(r.problems) > 0 {
		r.problems.sort()
		return r.unusable(), r.problems
	}
	return config, nil
}

func readYAML(open func() (io.ReadCloser, error)) ([]byte, error) {
	f, err := open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxYAML+1))
	if len(data) > maxYAML {
		return nil, fmt.Errorf("the file is larger than %d MiB: put the registry into ethers files, "+
			"and name them under registry_files", maxYAML>>20)
	}
	return data, withoutPath(err)
}

// openRegular opens a regular file. O_NONBLOCK prevents open(2) from waiting for the writer of a FIFO. Other files are
// errors, because a device may have no end.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, withoutPath(err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		err = errors.New("a directory, not a file")
	case !info.Mode().IsRegular():
		err = errors.New("not a regular file, but a pipe, a socket or a device")
	default:
		return f, nil
	}
	f.Close()
	return nil, withoutPath(err)
}

// withoutPath removes the path from an error, because a Problem names the file already.
func withoutPath(err error) error {
	if wrong := (*fs.PathError)(nil); errors.As(err, &wrong) {
		return fmt.Errorf("cannot read the file: %w", wrong.Err)
	}
	return err
}
