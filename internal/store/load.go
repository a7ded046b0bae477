package store

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// header is the beginning of the line with the revision of the file of all allocations.
const header = "revision "

// load reads the files into the table.
func (f *File) load() (err error) {
	if err := f.reserve(); err != nil {
		return err
	}
	// An editor may have left out the end of the last line of this file, but it is never cut off.
	if _, err = f.read(allocationsName, bufio.ScanLines, f.loadAllocation); err != nil {
		return err
	}
	f.table.revision = f.written
	if _, err = f.read(olderName, splitCompleteLines, f.loadChange); err != nil {
		return err
	}
	f.size, err = f.read(journalName, splitCompleteLines, f.loadChange)
	f.table.sort()
	return err
}

// reserve makes the tables of networks as large as the file of all allocations needs them. If they grew one by one, most
// of the time of loading would go into copying them.
func (f *File) reserve() error {
	type size struct{ allocations, names int }
	sizes := map[string]*size{}
	_, err := f.scan(allocationsName, bufio.ScanLines, func(_ int, line []byte) {
		verb, rest := cutWord(line)
		if Kind(verb) != Allocate {
			return
		}
		network, rest := cutWord(rest)
		s := sizes[string(network)]
		if s == nil {
			s = &size{}
			sizes[string(network)] = s
		}
		if s.allocations++; bytes.Contains(rest, []byte(" name=")) {
			s.names++
		}
	})
	for name, s := range sizes {
		f.table.networks[name] = newNetworkTable(name, s.allocations, s.names)
	}
	return err
}

// A parsedLine is a line of a file.
type parsedLine struct {
	number int
	text   string
	change Change
	err    error // why it is not a change
}

// read calls do for each line of a file, and records the problems. It returns the size of the lines. A file that is not
// there is empty. The next lines are parsed meanwhile, as that takes as long as to put them into the table.
func (f *File) read(name string, split bufio.SplitFunc, do func(line parsedLine) error) (size int64, err error) {
	const batches, batchSize = 4, 256
	parsed, done := make(chan []parsedLine, batches), make(chan []parsedLine, batches)
	for range batches {
		done <- make([]parsedLine, 0, batchSize)
	}
	go func() {
		defer close(parsed)
		batch := <-done
		size, err = f.scan(name, split, func(number int, line []byte) {
			l := parsedLine{number: number, text: string(line)}
			l.change, l.err = ParseChange(l.text)
			if batch = append(batch, l); len(batch) == batchSize {
				parsed <- batch
				batch = <-done
			}
		})
		parsed <- batch
	}()
	for batch := range parsed {
		for _, line := range batch {
			if err := do(line); err != nil {
				f.problems = append(f.problems, fmt.Sprintf("%s:%d: %s", f.disk.path(name), line.number, err))
			}
		}
		done <- batch[:0]
	}
	return size, err
}

// scan calls do for each line of a file, and returns the size of the lines. A file that is not there is empty.
func (f *File) scan(name string, split bufio.SplitFunc, do func(number int, line []byte)) (size int64, err error) {
	in, err := f.disk.open(name, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer in.Close()
	return readLines(in, split, do)
}

// loadAllocation takes a line of the file of all allocations.
func (f *File) loadAllocation(line parsedLine) error {
	if text, ok := strings.CutPrefix(line.text, header); ok {
		revision, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a revision; reading all changes of the journal again", text)
		}
		f.written = revision
		return nil
	}
	err := line.err
	if err == nil {
		err = f.table.loadState(line.change, f.written)
	}
	if err != nil {
		f.kept = append(f.kept, line.text)
	}
	return err
}

// loadChange takes a line of a journal.
func (f *File) loadChange(line parsedLine) error {
	switch c := line.change; {
	case line.err != nil:
		return line.err
	case c.Kind == heldVerb || c.Revision == 0:
		return errors.New("not a change with a revision")
	case c.Revision > f.written:
		f.table.Apply(c)
	}
	return nil
}

// writeAll writes the file of all allocations.
func (f *File) writeAll(to io.Writer) error {
	if err := f.table.WriteText(to); err != nil {
		return err
	}
	for _, unread := range f.kept {
		if _, err := fmt.Fprintln(to, unread); err != nil {
			return err
		}
	}
	return nil
}

// readLines calls do for each line, except empty ones and comments, with its number. Do must not keep the line. It
// returns the size of all lines.
func readLines(r io.Reader, split bufio.SplitFunc, do func(number int, line []byte)) (size int64, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), 1<<20)
	lines.Split(func(data []byte, atEOF bool) (advance int, token []byte, err error) {
		advance, token, err = split(data, atEOF)
		size += int64(advance)
		return advance, token, err
	})
	for number := 1; lines.Scan(); number++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) > 0 && line[0] != '#' {
			do(number, line)
		}
	}
	return size, lines.Err()
}

// splitCompleteLines is a [bufio.SplitFunc] like [bufio.ScanLines], but drops a last line without a newline.
func splitCompleteLines(data []byte, _ bool) (advance int, token []byte, err error) {
	line, _, isComplete := bytes.Cut(data, []byte("\n"))
	if !isComplete {
		return 0, nil, nil
	}
	return len(line) + 1, line, nil
}
