package config

import (
	"os"
	"strings"
)

// folderFiles returns the entries of a folder of registry files, by name, without backups and hidden files. dnsmasq skips the
// same names in its conf-dir.
func folderFiles(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		isBackup := strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || name[0] == '#' && strings.HasSuffix(name, "#")
		if !isBackup && !e.IsDir() {
			names = append(names, name)
		}
	}
	return names, nil
}

// registryFiles returns the entries of registry_files, and then those for the files in registry_dir.
func (s *source) registryFiles() []value {
	list := s.raw.RegistryFiles
	folder := s.raw.RegistryDir
	if !folder.written() || !folder.readable() {
		return list
	}
	path, ok := s.path(folder)
	if !ok {
		s.incomplete = true
		return list
	}
	s.willRead(path)
	names, err := folderFiles(path)
	if err != nil {
		s.add(folder.place, "%s: %s", path, err)
		s.incomplete = true
	}
	for _, name := range names {
		list = append(list, value{folder.place, strings.TrimSuffix(folder.text, "/") + "/" + name})
	}
	return list
}
