package show

import (
	"bytes"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"
)

// Output is where to write. On a terminal, headings are bold.
type Output struct {
	w    io.Writer
	bold bool
}

// To returns an Output on w.
func To(w io.Writer) *Output { return &Output{w, isTerminal(w) && os.Getenv("NO_COLOR") == ""} }

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// Line writes a line.
func (o *Output) Line(text string) error {
	_, err := io.WriteString(o.w, text+"\n")
	return err
}

// list writes a table, or, if there is nothing below its heading, says so.
func (o *Output) list(rows [][]string, nothing string) error {
	if len(rows) == 1 {
		return o.Line(nothing)
	}
	return o.table(rows)
}

// table writes rows in columns under a heading, which is the first of them. Cells that are empty get a dash.
func (o *Output) table(rows [][]string) error {
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
	heading, rest, _ := strings.Cut(text.String(), "\n")
	_, err := io.WriteString(o.w, o.heading(heading)+"\n"+rest)
	return err
}

func (o *Output) heading(text string) string {
	const bold, plain = "\x1b[1m", "\x1b[0m"
	if o.bold {
		return bold + text + plain
	}
	return text
}
