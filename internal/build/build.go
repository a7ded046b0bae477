// Package build reports the program's version, from the build information that the Go toolchain stores in the binary.
//
// A build without the repository's history, such as the image's, sets the version with the linker's -X flag.
package build

import (
	"cmp"
	"fmt"
	"runtime/debug"
	"strings"
)

// Info describes a build. A string is empty if it is unknown.
type Info struct {
	Version  string `json:"version"`            // of the module: a tag, a pseudo-version, or (devel)
	Revision string `json:"revision,omitempty"` // hash of the commit
	Time     string `json:"time,omitempty"`     // of the commit, RFC 3339
	Dirty    bool   `json:"dirty"`              // the working tree had uncommitted changes
	Go       string `json:"go"`                 // version of the toolchain
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// Set by the linker (-X) in a build without the repository's history. Must stay variables of this name.
var version, revision string

// Read returns the build information of the running program.
func Read() Info {
	stored, ok := debug.ReadBuildInfo()
	if !ok {
		stored = &debug.BuildInfo{}
	}
	return infoOf(stored)
}

func infoOf(stored *debug.BuildInfo) Info {
	setting := map[string]string{}
	for _, s := range stored.Settings {
		setting[s.Key] = s.Value
	}
	return Info{
		Version:  cmp.Or(version, stored.Main.Version),
		Revision: cmp.Or(revision, setting["vcs.revision"]),
		Time:     setting["vcs.time"],
		Dirty:    setting["vcs.modified"] == "true",
		Go:       stored.GoVersion,
		OS:       setting["GOOS"],
		Arch:     setting["GOARCH"],
	}
}

// String returns the version, the revision if it is known, and the toolchain with the platform, each on a line of its
// own.
func (i Info) String() string {
	lines := []string{"arpfabric " + i.Version}
	if i.Revision != "" {
		revision := "revision " + i.Revision
		if i.Time != "" {
			revision += " of " + i.Time
		}
		if i.Dirty {
			revision += ", with changes"
		}
		lines = append(lines, revision)
	}
	lines = append(lines, fmt.Sprintf("built with %s for %s/%s", i.Go, i.OS, i.Arch))
	return strings.Join(lines, "\n")
}
