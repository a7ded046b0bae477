package show

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"
)

// Output writes tables and lines. On a terminal, headings are bold and actions have colours, unless NO_COLOR is set
// (https://no-color.org).
type Output struct {
	w      io.Writer
	styled bool
}

// NewOutput returns an Output that writes to w.
func NewOutput(w io.Writer) *Output { return &Output{w, isTerminal(w) && os.Getenv("NO_COLOR") == ""} }

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Line writes a line.
func (o *Output) Line(text string) error {
	_, err := io.WriteString(o.w, text+"\n")
	return err
}

// list writes a table, or the line empty if the table has only a heading.
func (o *Output) list(rows [][]string, empty string) error {
	if len(rows) == 1 {
		return o.Line(empty)
	}
	return o.table(rows)
}

// table writes rows as aligned columns. The first row is the heading.
func (o *Output) table(rows [][]string) error {
	// Afterwards: the escape codes of the bold heading would count as its width.
	heading, rest, _ := strings.Cut(Align(rows), "\n")
	_, err := io.WriteString(o.w, o.heading(heading)+"\n"+rest)
	return err
}

// Align returns rows as lines with aligned columns. An empty cell becomes a dash.
func Align(rows [][]string) string {
	var text bytes.Buffer
	columns := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				io.WriteString(columns, "\t")
			}
			if cell == "" {
				cell = "-"
			}
			io.WriteString(columns, cell)
		}
		io.WriteString(columns, "\n")
	}
	columns.Flush()
	return text.String()
}

func (o *Output) heading(text string) string { return o.style(text, bold) }

// The styles of a terminal (ECMA-48, select graphic rendition).
const (
	plain  = 0
	bold   = 1
	faint  = 2
	red    = 31
	green  = 32
	yellow = 33
)

// style returns text in a style, on a terminal.
func (o *Output) style(text string, style int) string {
	if !o.styled || style == plain {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[%dm", style, text, plain)
}
