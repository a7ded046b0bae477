package importer

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
)

// A node is a JSON value with the line that it starts on, which encoding/json does not report.
type node struct {
	line  int
	text  string   // of a string or a number
	keys  []string // of an object; items has their values
	items []*node  // of an object or a list
}

// get returns the value of an object's key, or nil. n may be nil.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for i, k := range n.keys {
		if k == key {
			return n.items[i]
		}
	}
	return nil
}

// string returns the text of a key's value, or "".
func (n *node) string(key string) string {
	if value := n.get(key); value != nil {
		return value.text
	}
	return ""
}

// list returns the items of the list or the object that is a key's value.
func (n *node) list(key string) []*node {
	if value := n.get(key); value != nil {
		return value.items
	}
	return nil
}

// jsonStart matches the first line of a JSON file, and not that of an INI file.
var jsonStart = regexp.MustCompile(`^(\{|//|/\*|\[\s*($|[\[\]{"/#<,\d-]))`)

func beginsJSON(line string) bool { return jsonStart.MatchString(line) }

// beginsJSON reports whether a file that may be JSON or text is JSON.
func (s *source) beginsJSON() bool {
	for _, line := range s.lines() {
		return beginsJSON(line)
	}
	return false
}

// parseJSON returns the value in a file, or a list of the values if there are several, one behind the other. It returns
// nil if the file has no valid one, and reports what is invalid. It parses a file only once.
func (s *source) parseJSON() *node {
	if s.root != nil {
		return s.root
	}
	k := parseKeaJSON(s.data)
	s.reportIncludes(k)
	p := &jsonParser{Decoder: json.NewDecoder(bytes.NewReader(k.data)), lines: lineCounter{data: k.data}}
	p.UseNumber()
	roots, err := p.values()
	if err != nil {
		s.leaveOut(p.lineOf(err), "", "invalid JSON: %s", firstLine(err))
	}
	switch len(roots) {
	case 0:
	case 1:
		s.root = roots[0]
	default:
		s.root = joined(roots)
	}
	return s.root
}

// joined returns one list of several values. The items of lists become its items.
func joined(roots []*node) *node {
	all := &node{line: roots[0].line}
	for _, root := range roots {
		if len(root.keys) > 0 {
			all.items = append(all.items, root)
		} else {
			all.items = append(all.items, root.items...)
		}
	}
	return all
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// A jsonParser reads values with their lines.
type jsonParser struct {
	*json.Decoder
	lines lineCounter
}

// maxDepth limits the nesting of values. None of the formats comes near it.
const maxDepth = 100

// values reads all values, up to the end or an error.
func (p *jsonParser) values() ([]*node, error) {
	var all []*node
	for {
		value, err := p.value(0)
		switch {
		case err == io.EOF && len(all) > 0:
			return all, nil
		case err == io.EOF:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return all, err
		}
		all = append(all, value)
	}
}

// value reads the next value. It returns io.EOF if there is none.
func (p *jsonParser) value(depth int) (*node, error) {
	token, err := p.Token()
	if depth > 0 {
		err = inside(err)
	}
	if err != nil {
		return nil, err
	}
	n := &node{line: p.lines.at(p.InputOffset())}
	switch token := token.(type) {
	case json.Delim:
		if depth == maxDepth {
			return nil, errors.New("nested too deeply")
		}
		return n, p.fill(n, token, depth)
	case string:
		n.text = token
	case json.Number:
		n.text = token.String()
	}
	return n, nil
}

// fill reads the items of a list or an object after its opening bracket.
func (p *jsonParser) fill(n *node, begin json.Delim, depth int) error {
	for p.More() {
		if begin == '{' {
			key, err := p.Token()
			if err != nil {
				return inside(err)
			}
			n.keys = append(n.keys, key.(string))
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	_, err := p.Token()
	return inside(err)
}

// inside returns the error of the end of a file within a value.
func inside(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// lineOf returns the line of an error.
func (p *jsonParser) lineOf(err error) int {
	offset := p.InputOffset()
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = max(offset, syntax.Offset)
	}
	return p.lines.at(offset)
}

// A lineCounter converts offsets in data into line numbers. The offsets must not decrease.
type lineCounter struct {
	data    []byte
	counted int64
	ends    int // line ends before counted
}

func (c *lineCounter) at(offset int64) int {
	offset = max(c.counted, min(offset, int64(len(c.data))))
	c.ends += bytes.Count(c.data[c.counted:offset], []byte("\n"))
	c.counted = offset
	return c.ends + 1
}
