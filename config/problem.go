package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Problem is one mistake in a configuration.
type Problem struct {
	File    string `json:"file"`          // as named on the command line or in registry_files
	Line    int    `json:"line,omitzero"` // from 1; 0 if the problem is with the whole file
	Path    string `json:"path,omitzero"` // the path of the value in the YAML file: networks.lab.registry.10.239.0.1; may be empty
	Message string `json:"message"`
}

// String returns "file:line: path: message", without the parts that are unknown.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// Problems are all mistakes in a configuration, sorted by file, line and path.
type Problems []Problem

// Error returns the problems, one a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func (ps Problems) sort() {
	slices.SortFunc(ps, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Path, b.Path),
			cmp.Compare(a.Message, b.Message),
		)
	})
}

// A place is the position of a value in the YAML file. The zero place belongs to a value that is not written.
type place struct {
	line int // from 1
	path string

	// broken is set if the value, or a part of it, could not be read, which has been reported. Anything missing in it
	// must not be reported, too.
	broken bool
}

func (p place) written() bool  { return p.line > 0 }
func (p place) readable() bool { return p.written() && !p.broken }

func (p *place) setPlace(at place) { *p = at }

// key returns the place of the value of a key of the mapping at p.
func (p place) key(name string, line int) place {
	path := printable(name)
	if p.path != "" {
		path = p.path + "." + path
	}
	return place{line: line, path: path}
}

// item returns the place of an item of the list at p.
func (p place) item(i, line int) place {
	return place{line: line, path: fmt.Sprintf("%s[%d]", p.path, i)}
}

// printable prepares text from a file for output on one line. It shortens long text, and quotes text that is empty or
// contains characters that cannot be printed.
func printable(text string) string {
	const most = 60
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	if text == "" || strings.ContainsFunc(text, needsQuotes) {
		return strconv.Quote(text)
	}
	return text
}

// quote makes text from a file printable and quotes it.
func quote(text string) string {
	if text = printable(text); strings.HasPrefix(text, `"`) {
		return text
	}
	return `"` + text + `"`
}

func needsQuotes(c rune) bool { return c == '"' || c == '\\' || !strconv.IsPrint(c) }

// A report collects the problems of a configuration. file is the YAML file.
type report struct {
	file     string
	read     []string // the files that were read, or could not be
	digests  []byte   // of what each of them held
	problems Problems
}

// add adds a problem with the value at a place of the YAML file.
func (r *report) add(at place, format string, args ...any) {
	r.problems = append(r.problems, Problem{r.file, at.line, at.path, fmt.Sprintf(format, args...)})
}
