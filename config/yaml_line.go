package config

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
)

// A yamlLine is what one line of a YAML file has, outside quotes and comments.
type yamlLine struct {
	spaces  int    // before its text
	isEmpty bool   // only spaces and a comment
	isItem  bool   // of a list
	hasKey  bool   // a colon with a space or the end of the line behind it, outside braces
	opens   bool   // its last colon has no value, or it is an item of a list: more may be indented below
	glued   string // the first word with a colon and no space behind it, outside braces
	open    []byte // the braces and brackets that are open at its end
	mistake string // in the line alone
}

// withoutKey describes a line that has neither a key nor an item of a list.
func (s yamlLine) withoutKey() string {
	switch {
	case s.isEmpty || s.isItem || s.hasKey:
		return ""
	case s.glued != "" && !strings.ContainsFunc(s.glued, unicode.IsSpace):
		return fmt.Sprintf("a space is missing after the colon of %s", quote(s.glued))
	}
	return "no key in this line: want KEY: VALUE, with a colon and a space"
}

// A yamlScanner scans a line.
type yamlScanner struct {
	yamlLine
	text    []byte
	at      int
	isFresh bool // a value may begin here: a quote is one, and not part of a word
}

// scanYAML scans a line that begins within open braces and brackets.
func scanYAML(text, open []byte) yamlLine {
	s := yamlScanner{text: text, isFresh: true}
	s.open = bytes.Clone(open)
	rest := bytes.TrimLeft(text, " ")
	s.spaces = len(text) - len(rest)
	s.at = s.spaces
	words := bytes.TrimLeft(rest, " \t")
	switch {
	case len(words) == 0 || words[0] == '#':
		s.isEmpty = len(words) == len(rest) || len(words) > 0
		if !s.isEmpty {
			s.mistake = tabMistake
		}
		return s.yamlLine
	case len(words) < len(rest):
		s.mistake = tabMistake
		return s.yamlLine
	}
	s.isItem = bytes.HasPrefix(rest, []byte("- ")) || string(rest) == "-" || string(rest) == "---" || string(rest) == "..."
	s.opens = s.isItem
	for s.at < len(text) && s.mistake == "" && !s.atComment() {
		s.step()
	}
	return s.yamlLine
}

const tabMistake = "a tab in the indentation; YAML allows only spaces there"

func (s *yamlScanner) atComment() bool {
	return s.text[s.at] == '#' && (s.at == 0 || isBlank(s.text[s.at-1]))
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// step scans one character, or a quoted value.
func (s *yamlScanner) step() {
	c := s.text[s.at]
	isEnd := s.at+1 == len(s.text) || isBlank(s.text[s.at+1])
	switch {
	case isBlank(c):
		s.at++
		return
	case s.isFresh && (c == '"' || c == '\''):
		s.skipQuoted(c)
		s.isFresh, s.opens = false, false
		return
	case s.isFresh && (c == '@' || c == '`' || c == '%') && s.at > 0:
		s.mistake = fmt.Sprintf("a value that begins with %c needs quotes", c)
	case s.isFresh && (c == '{' || c == '['):
		s.open = append(s.open, c)
		s.opens = false
	case c == '}' || c == ']':
		s.close(c)
	case len(s.open) > 0 && c == ',':
		s.isFresh = true
	case c == ':' && isEnd && len(s.open) == 0 && s.hasKey:
		s.mistake = "two keys in one line: write the second one into a line of its own, indented more"
	case c == ':' && isEnd:
		s.isFresh = true
		if len(s.open) == 0 {
			s.hasKey, s.opens = true, true
		}
	case c == '-' && isEnd && s.isFresh:
	case c == ':' && len(s.open) == 0 && s.glued == "" && !s.hasKey:
		s.glued = string(s.text[s.spaces : s.at+1])
	default:
		s.isFresh, s.opens = false, false
	}
	s.at++
}

// close closes a brace or a bracket. Outside of all, they may be part of a word.
func (s *yamlScanner) close(c byte) {
	partner := map[byte]byte{'}': '{', ']': '['}[c]
	switch last := len(s.open) - 1; {
	case last < 0 && bytes.IndexByte(s.text[:s.at], partner) >= 0:
		s.mistake = fmt.Sprintf("one %c too many in this line", c)
	case last < 0:
	case s.open[last] != partner:
		s.mistake = fmt.Sprintf("the %c in this line is closed by %c", s.open[last], c)
	default:
		s.open = s.open[:last]
	}
	s.isFresh = false
}

// skipQuoted skips a quoted value. In double quotes, a backslash is before a quote that does not end it; in single quotes,
// two are one.
func (s *yamlScanner) skipQuoted(quoted byte) {
	begin := s.at
	for s.at++; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '\\' && quoted == '"':
			s.at++
		case c != quoted:
		case quoted == '\'' && s.at+1 < len(s.text) && s.text[s.at+1] == quoted:
			s.at++
		default:
			s.at++
			return
		}
	}
	s.at = len(s.text)
	s.mistake = fmt.Sprintf("the quote before %s is not closed in this line", printable(string(s.text[begin+1:])))
}
