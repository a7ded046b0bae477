package importer

import (
	"bytes"
	"cmp"
	"encoding/json"
	"regexp"
	"strings"
)

// A keaJSON is a text in Kea's extended JSON, with comments, included files, superfluous commas and numbers such as .5.
// All of these are replaced by what is not longer, so that encoding/json accepts the text and no line moves.
type keaJSON struct {
	data     []byte
	last     int // offset in data where the last value or punctuation begins; -1 before the first
	includes []keaInclude
}

// A keaInclude is an include directive. It is not followed.
type keaInclude struct {
	at   int64 // offset in the text
	file string
}

// parseKeaJSON converts a text to JSON. It leaves plain JSON unchanged.
func parseKeaJSON(text string) *keaJSON {
	k := &keaJSON{data: []byte(text), last: -1}
	for at := 0; at < len(k.data); {
		at += k.step(at)
	}
	return k
}

// step processes the token at an offset and returns its length.
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
	switch {
	case rest[0] == '"':
		return lengthOfString(rest)
	case strings.IndexByte("+-.0123456789", rest[0]) >= 0:
		return plainNumber(rest)
	}
	return 1
}

// keaNumber matches the numbers that Kea accepts, with the integer part as a group. Beyond JSON's they are .5, 5., +5
// and 05.
var keaNumber = regexp.MustCompile(`^(\+|-?)0*(\d*)\.?\d*([eE][-+]?\d+)?`)

// plainNumber returns the length of the number at the start of data. If JSON has no such number, its integer part, which
// is never longer, takes its place: no format has a fraction that matters here.
func plainNumber(data []byte) int {
	found := keaNumber.FindSubmatchIndex(data)
	end := found[1]
	if number := data[:end]; end > 1 && !json.Valid(number) {
		sign, whole := strings.TrimPrefix(string(number[:found[3]]), "+"), string(number[found[4]:found[5]])
		blank(number, end)
		copy(number, sign+cmp.Or(whole, "0"))
	}
	return max(end, 1)
}

// lastByte returns the first byte of the last value or punctuation, or 0 before the first.
func (k *keaJSON) lastByte() byte {
	if k.last < 0 {
		return 0
	}
	return k.data[k.last]
}

var includeDirective = regexp.MustCompile(`^<\?\s*(include)\s*"([^"\n]+)"\s*\?>`)

// include records the include directive at an offset and returns its length. If the directive is a key's whole value,
// null takes its place.
func (k *keaJSON) include(at int) int {
	rest := k.data[at:]
	found := includeDirective.FindSubmatchIndex(rest)
	if found == nil {
		return 1 // encoding/json reports the error
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

// blank overwrites data up to end, or all of it if end is negative, and returns the number of bytes. It keeps line
// ends.
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

// lengthOfComment returns the length of the comment at the start of data, or -1 if the comment does not end.
func lengthOfComment(data []byte) int {
	inside := bytes.Index(data[2:], []byte("*/"))
	if inside < 0 {
		return -1
	}
	return inside + len("/**/")
}

// lengthOfString returns the length of the string at the start of data, including its quotes.
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
