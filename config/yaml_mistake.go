package config

import (
	"bytes"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// The YAML library names the line in which it gives up, or in which a mapping begins that it can't read to its end, in the
// words of its grammar. This file finds the line with the mistake, and says what it is. It looks only at files that are no
// YAML, line by line, for the mistakes that people make: tabs, quotes, braces, spaces after colons, and indentation.

// findMistake returns the first line with a mistake, near the one that the library names or below, and what the mistake
// is. It returns "" if it finds none. The line before may have it: a key without a colon is noticed at the next one.
func findMistake(data []byte, line int, message string) (number int, mistake string) {
	if strings.HasPrefix(message, "exceeded") {
		return 0, ""
	}
	isOfFlow := strings.Contains(message, "','")
	var levels indentation
	var open []byte
	for text := range bytes.Lines(data) {
		number++
		wasOpen := len(open) > 0
		s := scanYAML(bytes.TrimRight(text, "\r\n"), open)
		open = s.open
		mistake := s.mistake
		switch {
		case s.isEmpty || mistake != "":
		case isOfFlow && len(open) > 0 && number >= line:
			mistake = fmt.Sprintf("the %c in this line is not closed", open[len(open)-1])
		case !wasOpen:
			mistake = levels.enter(number, s)
		}
		if mistake == "" && !wasOpen {
			mistake = s.withoutKey()
		}
		if mistake != "" && number >= line-1 {
			return number, mistake
		}
	}
	return 0, ""
}

// An indentation keeps the lines that began the mappings and lists around a line, the outermost first. The last one is the
// line before.
type indentation []level

type level struct {
	number, spaces int
	opens          bool // a mapping or a list may follow
}

// enter takes the next line into account, and returns what is wrong with its indentation.
func (in *indentation) enter(number int, s yamlLine) string {
	around, inner := *in, -1
	for len(around) > 0 && around[len(around)-1].spaces > s.spaces {
		inner = around[len(around)-1].spaces
		around = around[:len(around)-1]
	}
	*in = append(around, level{number, s.spaces, s.opens})
	if len(around) == 0 {
		if inner < 0 {
			return ""
		}
		return fmt.Sprintf("this line is indented by %s; want %d, as the lines above", spaces(s.spaces), inner)
	}
	switch last := around[len(around)-1]; {
	case last.spaces == s.spaces:
		*in = append(around[:len(around)-1], level{number, s.spaces, s.opens})
	case inner >= 0:
		return fmt.Sprintf("this line is indented by %s; want %d or %d, as lines above", spaces(s.spaces), last.spaces, inner)
	case !last.opens:
		return fmt.Sprintf("this line is indented by %s, more than line %d, which has a value already; want %d",
			spaces(s.spaces), last.number, last.spaces)
	}
	return ""
}

func spaces(n int) string {
	if n == 1 {
		return "1 space"
	}
	return fmt.Sprintf("%d spaces", n)
}

// Keys and values in which a space is missing after the colon. YAML reads such a text as one word: {bridge:br0} is a
// mapping with the key "bridge:br0".
var (
	gluedKey   = regexp.MustCompile(`^([A-Za-z_][\w-]{2,}|\d+(?:\.\d+){3}):\S`)
	gluedValue = regexp.MustCompile(`^([A-Za-z_][\w-]{2,}|\d+(?:\.\d+){3}):(?:["'{\[]|(?:[0-9A-Fa-f]{2}:){5})`)
)

// refuseGlued reports the keys in n and below without a space after their colon, and returns whether there is one. All
// that follows from it would only confuse.
func (r *report) refuseGlued(n *yaml.Node, at place, depth int) (found bool) {
	if depth > maxDepth {
		return false
	}
	for i, child := range n.Content {
		isKey := n.Kind == yaml.MappingNode && i%2 == 0
		prefix := gluedTo(child, isKey)
		if prefix == "" && len(child.Content) == 0 {
			continue
		}
		where := at
		switch {
		case n.Kind == yaml.SequenceNode:
			where = at.item(i, child.Line)
		case isKey:
			where.line = child.Line
		default:
			where = at.key(n.Content[i-1].Value, child.Line)
		}
		if prefix != "" {
			r.add(where, "invalid YAML: a space is missing after the colon of %s", quote(prefix+":"))
			found = true
		}
		found = r.refuseGlued(child, where, depth+1) || found
	}
	return found
}

// gluedTo returns the word before a colon in a node without a space after the colon, or "".
func gluedTo(n *yaml.Node, isKey bool) string {
	form := gluedValue
	if isKey {
		form = gluedKey
	}
	if n.Kind != yaml.ScalarNode || n.Style != 0 || strings.IndexByte(n.Value, ':') < 0 || isIPv6(n.Value) {
		return ""
	}
	if m := form.FindStringSubmatch(n.Value); m != nil {
		return m[1]
	}
	return ""
}

// isIPv6 reports whether text is an IPv6 address or prefix, which has colons too. Another check refuses it.
func isIPv6(text string) bool {
	address, _, _ := strings.Cut(text, "/")
	_, err := netip.ParseAddr(address)
	return err == nil
}
