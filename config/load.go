package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"syscall"
)

// maxYAML is how large a YAML file may be, in bytes: some 300 thousand bindings. Large registries are
// better kept in ethers files, which have no limit.
const maxYAML = 16 << 20

// Load reads the configuration in a YAML file and in the registry_files that it names, which are relative
// to the YAML file's folder. Its error is always a [Problems], with everything that is wrong; the Config then has
// only its Path, and as Files those to repair: the ones that were read, or named and could not be.
func Load(path string) (*Config, error) {
	r := &report{file: path}
	data, err := readYAML(path)
	if err != nil {
		r.add(place{}, "%s", err)
		return &Config{Path: path, Files: []string{path}}, r.problems
	}
	return r.load(data)
}

// load makes a configuration of the YAML file's content.
func (r *report) load(data []byte) (*Config, error) {
	config := &Config{Path: r.file, Files: []string{r.file}}
	if root := r.parseYAML(data); root != nil {
		var raw rawConfig
		r.decode(root, place{line: root.Line}, reflect.ValueOf(&raw).Elem())
		config = r.convert(&raw)
	}
	if len(r.problems) > 0 {
		r.problems.sort()
		return &Config{Path: r.file, Files: config.Files}, r.problems
	}
	return config, nil
}

func readYAML(path string) ([]byte, error) {
	f, err := openRegular(path)
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

// openRegular opens a regular file. Opening a FIFO would wait for a writer, and a device may never end.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, withoutPath(err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		err = errors.New("this is a directory, not a file")
	case !info.Mode().IsRegular():
		err = errors.New("this is not a regular file (but a pipe, a socket or a device)")
	default:
		return f, nil
	}
	f.Close()
	return nil, withoutPath(err)
}

// withoutPath returns what is wrong with a file without its path, which a Problem names already.
func withoutPath(err error) error {
	if wrong := (*fs.PathError)(nil); errors.As(err, &wrong) {
		return fmt.Errorf("the file can't be read: %w", wrong.Err)
	}
	return err
}
