package imports

import (
	"bytes"
	"regexp"
	"strings"
)

// A keaJSON is a text in what Kea takes for JSON: there may be comments in it, other files included, and commas that
// separate nothing. All of that becomes blanks, so that encoding/json reads the rest, and each line stays where it is.
type keaJSON struct {
	data     []byte
	last     int // where in data the last value or punctuation begins; -1 before the first
	includes []keaInclude
}

// A keaInclude is where a text has that of another file in it, which is not followed.
type keaInclude struct {
	at   int64 // in the text
	file string
}

// parseKeaJSON makes JSON of a text. What was JSON before is the same.
func parseKeaJSON(text string) *keaJSON {
	k := &keaJSON{data: []byte(text), last: -1}
	for at := 0; at < len(k.data); {
		at += k.step(at)
	}
	return k
}

// step goes over what begins at a place, and returns how long that is.
func (k *keaJSON) step(at int) int {
	rest := k.data[at:]
	switch {
	case strings.IndexByte(" \t\r\n", rest[0]) >= 0:
		return 1
	case rest[0] == '#', bytes.HasPrefix(rest, []byte("//")):
		return blank(rest, bytes.IndexByte(rest, '\n'))
	case bytes.HasPrefix(rest, []byte("/*")):
		return blank(rest, lengthOfComment(rest))
	case rest[0] == ',' && strings.IndexByte("{[,", k.lastByte()) >= 0:
		return blank(rest, 1)
	case bytes.HasPrefix(rest, []byte("<?")):
		return k.include(at)
	case (rest[0] == '}' || rest[0] == ']') && k.lastByte() == ',':
		blank(k.data[k.last:], 1)
	}
	k.last = at
	if rest[0] == '"' {
		return lengthOfString(rest)
	}
	return 1
}

// lastByte returns the byte that the last value or punctuation begins with, or 0 before the first.
func (k *keaJSON) lastByte() byte {
	if k.last < 0 {
		return 0
	}
	return k.data[k.last]
}

var includeDirective = regexp.MustCompile(`^<\?\s*(include)\s*"([^"\n]+)"\s*\?>`)

// include notes that another file is included, and returns how long that is. It may be all of a key's value, and
// something has to be in its place then.
func (k *keaJSON) include(at int) int {
	rest := k.data[at:]
	found := includeDirective.FindSubmatchIndex(rest)
	if found == nil {
		return 1 // encoding/json will say what is wrong
	}
	end, word, file := found[1], found[2], rest[found[4]:found[5]]
	k.includes = append(k.includes, keaInclude{int64(at), string(file)})
	blank(rest, end)
	if k.lastByte() == ':' {
		k.last = at + word
		copy(rest[word:], "null")
	}
	return end
}

// blank overwrites data up to end, or all of it if end is negative, and returns how much that is. Line ends stay.
func blank(data []byte, end int) int {
	if end < 0 {
		end = len(data)
	}
	for i, c := range data[:end] {
		if c != '\n' {
			data[i] = ' '
		}
	}
	return end
}

// lengthOfComment returns how long the comment is that data begins with, or -1 if it does not end.
func lengthOfComment(data []byte) int {
	inside := bytes.Index(data[2:], []byte("*/"))
	if inside < 0 {
		return -1
	}
	return inside + len("/**/")
}

// lengthOfString returns how long the string is that data begins with, quotes included.
func lengthOfString(data []byte) int {
	for i := 1; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(data)
}
