// Package build says what this program was built from, as the Go toolchain noted it in the binary.
//
// It knows no more than that. A build without the repository's history, as in the image, is told by the linker.
package build

import (
	"cmp"
	"fmt"
	"runtime/debug"
	"strings"
)

// Info is what a program was built from. What is not known is empty.
type Info struct {
	Version  string `json:"version"`            // of the module: a tag, a pseudo-version, or (devel)
	Revision string `json:"revision,omitempty"` // the commit
	Time     string `json:"time,omitempty"`     // of the commit, RFC 3339
	Dirty    bool   `json:"dirty"`              // there were changes that are not in the commit
	Go       string `json:"go"`                 // the toolchain's version
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// What the linker was told (-X), where the toolchain can't know it.
var version, revision string

// Read returns what the running program was built from.
func Read() Info {
	noted, ok := debug.ReadBuildInfo()
	if !ok {
		noted = &debug.BuildInfo{}
	}
	return infoOf(noted)
}

func infoOf(noted *debug.BuildInfo) Info {
	setting := map[string]string{}
	for _, s := range noted.Settings {
		setting[s.Key] = s.Value
	}
	return Info{
		Version:  cmp.Or(version, noted.Main.Version),
		Revision: cmp.Or(revision, setting["vcs.revision"]),
		Time:     setting["vcs.time"],
		Dirty:    setting["vcs.modified"] == "true",
		Go:       noted.GoVersion,
		OS:       setting["GOOS"],
		Arch:     setting["GOARCH"],
	}
}

// String writes the version, the revision where it is known, and the toolchain and the platform, a line each.
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
