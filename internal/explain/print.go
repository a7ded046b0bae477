package explain

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Print writes an explanation as text.
func (e Explanation) Print(w io.Writer) error {
	var out bytes.Buffer
	fmt.Fprintln(&out, e.Frame.Text)
	fmt.Fprintf(&out, "from %s to %s, ingress %s\n", cmp.Or(e.Frame.From, "unknown"), cmp.Or(e.Frame.To, "unknown"), e.Port)
	fmt.Fprintf(&out, "network %s\n\n", e.Summary)
	fmt.Fprintf(&out, "verdict: %s, %s\n\n", e.Action, e.Reason)
	e.printRows(&out)
	printList(&out, "decided by", e.decidedBy())
	if e.Reply != nil {
		printList(&out, "answer", []string{e.Reply.Text, fmt.Sprintf("from %s to %s", e.Reply.From, e.Reply.To)})
		out.WriteString(dump(e.Reply.Hex))
	}
	printList(&out, "to change it", e.Change)
	printList(&out, "note", e.Notes)
	_, err := w.Write(out.Bytes())
	return err
}

func (e Explanation) printRows(out *bytes.Buffer) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "ROW\tFITS\tBECAUSE\n")
	for _, row := range e.Rows {
		fits := "no"
		if row.Fits {
			fits = "yes"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", row.Reason, fits, row.because())
	}
	table.Flush()
}

// because returns the values that were compared, and in parentheses the binding and the setting that mattered.
func (r Row) because() string {
	var with []string
	for _, part := range []string{r.Binding, r.Setting} {
		if part != "" {
			with = append(with, part)
		}
	}
	if len(with) == 0 {
		return r.Compared
	}
	return fmt.Sprintf("%s (%s)", r.Compared, strings.Join(with, "; "))
}

func (e Explanation) decidedBy() []string {
	var lines []string
	for _, line := range e.Decided {
		if line.Origin != "" {
			line.Text = line.Origin + ": " + line.Text
		}
		lines = append(lines, line.Text)
	}
	if lines == nil {
		return []string{"the frame alone; no line of the configuration matters"}
	}
	return lines
}

func printList(out *bytes.Buffer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s:\n", title)
	for _, line := range lines {
		fmt.Fprintf(out, "  %s\n", line)
	}
}

// dump writes hexadecimal digits as tcpdump does: 16 bytes a line, in pairs.
func dump(digits string) string {
	const pair, perLine = 4, 8
	var b strings.Builder
	for i := 0; len(digits) > 0; i++ {
		n := min(pair, len(digits))
		separator := " "
		if i%perLine == 0 {
			separator = "  "
		}
		b.WriteString(separator + digits[:n])
		if digits = digits[n:]; i%perLine == perLine-1 || digits == "" {
			b.WriteByte('\n')
		}
	}
	return b.String()
}
