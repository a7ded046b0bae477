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
	File    string // as it was named: on the command line, or in registry_files
	Line    int    // from 1; 0 where the problem is with the file as a whole
	Path    string // of the value in the YAML file: networks.lab.registry.10.239.0.1; may be empty
	Message string
}

// String writes "file:line: path: message", without the parts that are not known.
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

// Problems is everything that is wrong with a configuration, sorted by file, line and path.
type Problems []Problem

// Error lists the problems, one a line.
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

// A place is where a value stands in the YAML file. The zero place is that of a value that isn't there.
type place struct {
	line int // from 1
	path string

	// broken says that the value, or a part of it, is there but could not be read, which has been reported:
	// that something is missing in it then is no news.
	broken bool
}

func (p place) written() bool  { return p.line > 0 }
func (p place) readable() bool { return p.written() && !p.broken }

func (p *place) setPlace(at place) { *p = at }

// key is the place of what stands under a key of the mapping at p.
func (p place) key(name string, line int) place {
	path := printable(name)
	if p.path != "" {
		path = p.path + "." + path
	}
	return place{line: line, path: path}
}

// item is the place of an item of the list at p.
func (p place) item(i, line int) place {
	return place{line: line, path: fmt.Sprintf("%s[%d]", p.path, i)}
}

// printable makes text from a file fit to be shown in one line: it is shortened where it is long, and
// between quotes where it is empty or has something in it that can't be printed.
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

// quote puts text from a file between quotes, and makes it printable.
func quote(text string) string {
	if text = printable(text); strings.HasPrefix(text, `"`) {
		return text
	}
	return `"` + text + `"`
}

func needsQuotes(c rune) bool { return c == '"' || c == '\\' || !strconv.IsPrint(c) }

// A report gathers the problems of a configuration; file is its YAML file.
type report struct {
	file     string
	problems Problems
}

// add notes a problem with what is at a place of the YAML file.
func (r *report) add(at place, format string, args ...any) {
	r.problems = append(r.problems, Problem{r.file, at.line, at.path, fmt.Sprintf(format, args...)})
}
