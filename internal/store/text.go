package store

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// explanation is for the operator who opens the file of all allocations.
const explanation = "# The allocations of arpfabric. Edit this file only while arpfabric is stopped: docs/allocation.md.\n"

// WriteText writes the text of the file of all allocations.
func (t *Table) WriteText(to io.Writer) error {
	out := bufio.NewWriterSize(to, 1<<20)
	out.WriteString(explanation)
	fmt.Fprintf(out, "%s%d\n", header, t.revision)
	var line []byte
	for _, name := range slices.Sorted(maps.Keys(t.networks)) {
		for a := range t.All(name) {
			line = append(appendAllocation(line[:0], string(Allocate), a), '\n')
			out.Write(line)
		}
		n := t.networks[name]
		for _, ip := range slices.Sorted(maps.Keys(n.held)) {
			h := n.held[ip]
			line = appendAllocation(line[:0], heldVerb, Allocation{Network: name, Address: ip.Addr(), MAC: h.MAC})
			line = append(appendTime(line, "at", h.Since), '\n')
			out.Write(line)
		}
	}
	return out.Flush() // returns the first error of all writes
}

// ReadText reads what WriteText has written, or an operator. It returns the mistakes as "line: problem"; these lines have
// no effect.
func ReadText(from io.Reader) (t *Table, problems []string, err error) {
	t = NewTable()
	_, err = readLines(from, bufio.ScanLines, func(number int, line []byte) {
		var err error
		if text, ok := bytes.CutPrefix(line, []byte(header)); ok {
			t.revision, err = strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
		} else if c, e := ParseChange(string(line)); e != nil {
			err = e
		} else {
			err = t.loadState(c, t.revision)
		}
		if err != nil {
			problems = append(problems, fmt.Sprintf("%d: %s", number, err))
		}
	})
	t.sort()
	return t, problems, err
}

// loadState adds the allocation or the held address of a line. If the line has no revision, because an operator has
// written it, it gets the one of the file.
func (t *Table) loadState(c Change, revision uint64) error {
	if c.Kind != Allocate && c.Kind != heldVerb {
		return fmt.Errorf("%s belongs into the journal: here, lines begin with %s or %s", c.Kind, Allocate, heldVerb)
	}
	n, ip := t.network(c.Network), registry.IPv4Of(c.Address)
	if _, exists := n.entries.get(ip); exists {
		return fmt.Errorf("%s is in the file twice", c.Address)
	}
	if other, exists := n.names[c.Name]; exists && c.Name != "" {
		return fmt.Errorf("the name %s has %s already", c.Name, other)
	}
	if c.Kind == heldVerb {
		n.hold(ip, Held{c.MAC, c.At})
		return nil
	}
	if c.Revision == 0 {
		c.Revision = revision
	}
	t.load(c.Allocation)
	return nil
}
