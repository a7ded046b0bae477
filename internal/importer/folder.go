package importer

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A folder's files are read as if each was given, by name, as dnsmasq reads its conf-dir. Other files may be in it too,
// such as a README: one of unknown format is no error.

// readPath reads a file, or all files in a folder.
func readPath(path string, o Options) []*source {
	if info, err := os.Stat(path); path == "-" || err != nil || !info.IsDir() {
		return []*source{readFile(newSource(path, o), o)}
	}
	folder := newSource(path, o)
	entries, err := os.ReadDir(path)
	switch {
	case err != nil:
		folder.leaveOut(0, "", "the folder can't be read: %s", withoutPath(err))
	case len(entries) == 0:
		folder.ignore(0, "", "the folder is empty")
	}
	files := []*source{folder}
	for _, entry := range inOrder(entries) {
		switch name := entry.Name(); {
		case isBackup(name):
			folder.ignore(0, printable(name), "dnsmasq skips files with such names, so it is not read")
		case entry.IsDir():
			folder.ignore(0, printable(name), "a folder in the folder is not read; import it too")
		default:
			file := newSource(filepath.Join(path, name), o)
			file.inFolder = true
			files = append(files, readFile(file, o))
		}
	}
	return files
}

// isBackup reports whether dnsmasq skips a file in its conf-dir: editors' and package managers' copies.
func isBackup(name string) bool {
	return name[0] == '.' || strings.HasSuffix(name, "~") || name[0] == '#' && strings.HasSuffix(name, "#")
}

// inOrder sorts files by name, but Kea's older leases before the current ones.
func inOrder(entries []os.DirEntry) []os.DirEntry {
	return slices.SortedStableFunc(slices.Values(entries), func(a, b os.DirEntry) int {
		current, age := keaAge(a.Name())
		otherCurrent, otherAge := keaAge(b.Name())
		return cmp.Or(cmp.Compare(current, otherCurrent), cmp.Compare(otherAge, age))
	})
}
