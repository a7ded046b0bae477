package imports

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// A node is a value in JSON with the line that it starts in. encoding/json alone does not tell lines.
type node struct {
	line  int
	text  string   // of a string or a number
	keys  []string // of an object; items has their values
	items []*node  // of an object or a list
}

// get returns the value of an object's key, or nil. Of nil it is nil.
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

// string returns the text under a key, or nothing.
func (n *node) string(key string) string {
	if value := n.get(key); value != nil {
		return value.text
	}
	return ""
}

// list returns what is in the list or the object under a key.
func (n *node) list(key string) []*node {
	if value := n.get(key); value != nil {
		return value.items
	}
	return nil
}

// readJSON reads one of the formats in JSON.
func (s *source) readJSON(format Format) {
	root := s.parseJSON()
	if root == nil {
		return
	}
	switch format {
	case Kea:
		s.readKea(root)
	case Docker:
		s.readDocker(root)
	case Neigh:
		s.readNeigh(root)
	}
}

// parseJSON returns the one value in a file, or nil, having said what is wrong with it. A file is parsed once.
func (s *source) parseJSON() *node {
	if s.root != nil {
		return s.root
	}
	k := parseKeaJSON(s.data)
	s.nameIncludes(k)
	p := &jsonParser{Decoder: json.NewDecoder(bytes.NewReader(k.data)), lines: lineCounter{data: k.data}}
	p.UseNumber()
	root, err := p.value(0)
	if err == nil {
		if _, err = p.Token(); err == io.EOF {
			s.root = root
			return root
		}
		err = errors.Join(errors.New("there is more behind the first value"), err)
	}
	s.leave(p.lineOf(err), "", "this is not JSON: %s", firstLine(err))
	return nil
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// A jsonParser reads values and tells their lines.
type jsonParser struct {
	*json.Decoder
	lines lineCounter
}

// deepest is how deep values may be nested: deeper than any of the formats goes.
const deepest = 100

// value reads the next value.
func (p *jsonParser) value(depth int) (*node, error) {
	token, err := p.Token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	n := &node{line: p.lines.at(p.InputOffset())}
	switch token := token.(type) {
	case json.Delim:
		if depth == deepest {
			return nil, errors.New("it is nested too deep")
		}
		return n, p.fill(n, token, depth)
	case string:
		n.text = token
	case json.Number:
		n.text = token.String()
	}
	return n, nil
}

// fill reads what is in a list or an object that has begun.
func (p *jsonParser) fill(n *node, begin json.Delim, depth int) error {
	for p.More() {
		if begin == '{' {
			key, err := p.Token()
			if err != nil {
				return err
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

// A lineCounter tells the lines of offsets in data, each of which is no less than the one before.
type lineCounter struct {
	data    []byte
	counted int64
	ends    int // of lines, in what is counted
}

func (c *lineCounter) at(offset int64) int {
	offset = max(c.counted, min(offset, int64(len(c.data))))
	c.ends += bytes.Count(c.data[c.counted:offset], []byte("\n"))
	c.counted = offset
	return c.ends + 1
}
