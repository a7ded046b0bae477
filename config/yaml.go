package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// maxDepth is the deepest nesting of a YAML file. The deepest value of a configuration,
// networks.lab.registry.10.239.0.1.mac, is on the fifth level.
const maxDepth = 8

// parseYAML parses the one document of a YAML file. If data is not YAML, it reports why and returns nil. It also
// reports the features of YAML that are not supported (anchors, aliases, merge keys, tags); the decoder skips them.
func (r *report) parseYAML(data []byte) *yaml.Node {
	if line, wrong := badText(data); wrong != "" {
		r.add(place{line: line}, "%s", wrong)
		return nil
	}
	documents := yaml.NewDecoder(bytes.NewReader(data))
	root, err := nextDocument(documents)
	if errors.Is(err, io.EOF) {
		r.add(place{}, "the file is empty: a configuration needs at least networks")
		return nil
	}
	if err != nil {
		r.addSyntax(data, err)
		return nil
	}
	switch second, err := nextDocument(documents); {
	case err == nil:
		r.add(place{line: second.Line}, "a second YAML document starts here: a configuration is one document")
	case !errors.Is(err, io.EOF):
		r.addSyntax(data, err)
	}
	if r.refuseGlued(root, place{line: root.Line}, 0) {
		return nil
	}
	r.refuseUnsupported(root, place{line: root.Line}, 0)
	return root
}

// nextDocument returns the root of the next document, or io.EOF. It turns panics of the YAML library into errors: the
// library panics if its parser is in an impossible state. No input that causes this is known, but one must not stop a
// running fabric.
func nextDocument(documents *yaml.Decoder) (root *yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("yaml: %v", p)
		}
	}()
	var document yaml.Node
	if err := documents.Decode(&document); err != nil {
		return nil, err
	}
	return document.Content[0], nil
}

// badText returns the first line that is not valid text for YAML (YAML 1.2, 5.1): UTF-8 without control characters. It
// describes the mistake, or returns "" if there is none.
func badText(data []byte) (line int, wrong string) {
	for at := 0; at < len(data); {
		c, size := utf8.DecodeRune(data[at:])
		switch {
		case c == utf8.RuneError && size == 1:
			wrong = "not UTF-8 text"
		case c < ' ' && c != '\t' && c != '\n' && c != '\r', c >= 0x7f && c < 0xa0 && c != 0x85:
			wrong = fmt.Sprintf("control character %U in this line", c)
		}
		if wrong != "" {
			return 1 + bytes.Count(data[:at], []byte("\n")), wrong
		}
		at += size
	}
	return 0, ""
}

var (
	lineOfError = regexp.MustCompile(`^line (\d+): (.*)`)

	// The library's scanner counts lines from 1, its parser from 0. These are the parser's messages.
	fromParser = regexp.MustCompile(`^(did not find expected (key|node content|'-'|','|<)` +
		`|found (undefined tag handle|duplicate %|incompatible))`)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced`)
)

// addSyntax reports an error of the YAML library.
func (r *report) addSyntax(data []byte, err error) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1 // the library does not write the number of the first line
	if m := lineOfError.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1])
		message = m[2]
		if fromParser.MatchString(message) {
			line++
		}
	}
	if m := unknownAnchor.FindStringSubmatch(message); m != nil {
		before, _, _ := bytes.Cut(data, []byte("*"+m[1]))
		r.add(place{line: 1 + bytes.Count(before, []byte("\n"))}, noAlias, m[1])
		return
	}
	if found, mistake := findMistake(data, line, message); mistake != "" {
		r.add(place{line: found}, "invalid YAML: %s", mistake)
		return
	}
	r.add(place{line: line}, "invalid YAML at or below this line: %s", message)
}

// The messages for unsupported features of YAML. With aliases, a small file could grow without limit.
const (
	noAlias  = "aliases (*%s) are not supported: write the value itself"
	noAnchor = "anchors (&%s) are not supported: write the value wherever it is needed"
	noMerge  = "merge keys (<<) are not supported: write the keys themselves"
	noTag    = "tags (%s) are not supported: write the value without the tag"
)

// refuseUnsupported reports unsupported features in n and below, under known and unknown keys.
func (r *report) refuseUnsupported(n *yaml.Node, at place, depth int) {
	switch {
	case n.Kind == yaml.AliasNode:
		r.add(at, noAlias, printable(n.Value))
	case n.Anchor != "":
		r.add(at, noAnchor, printable(n.Anchor))
	case n.Style&yaml.TaggedStyle != 0:
		r.add(at, noTag, printable(n.Tag))
	}
	if depth == maxDepth && len(n.Content) > 0 {
		r.add(at, "nested deeper than %d levels", maxDepth)
		return
	}
	switch n.Kind {
	case yaml.SequenceNode:
		for i, item := range n.Content {
			r.refuseUnsupported(item, at.item(i, item.Line), depth+1)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			r.refuseInPair(n.Content[i], n.Content[i+1], at, depth)
		}
	}
}

func (r *report) refuseInPair(key, child *yaml.Node, at place, depth int) {
	where := at.key(key.Value, key.Line)
	if isMerge(key) {
		r.add(where, noMerge)
	} else {
		r.refuseUnsupported(key, where, depth+1)
	}
	where.line = child.Line
	r.refuseUnsupported(child, where, depth+1)
}

func isMerge(key *yaml.Node) bool { return key.Kind == yaml.ScalarNode && key.Tag == "!!merge" }
