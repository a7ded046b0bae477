package importer

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// decodeText converts a file to UTF-8 without a byte order mark. Windows programs write UTF-16 (PowerShell's ">") and
// byte order marks. Bytes that are no text become U+FFFD, which no address, MAC or name has.
func decodeText(data []byte) (string, error) {
	if kind := binaryKind(data); kind != "" {
		return "", errors.New(kind)
	}
	if e := wideEncoding(data); e != nil {
		decoded, err := e.NewDecoder().Bytes(data)
		if err != nil {
			return "", fmt.Errorf("it is not valid UTF-16 or UTF-32: %w", err)
		}
		data = decoded
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if bytes.IndexByte(data, 0) >= 0 {
		return "", errors.New("it is binary, and all formats are text")
	}
	return strings.ToValidUTF8(withLineEnds(string(data)), "\ufffd"), nil
}

// wideEncoding returns the encoding of UTF-16 or UTF-32, with a byte order mark or without, or nil for any other. All
// formats begin with an ASCII character, so the zeros in the first four bytes show the encoding (RFC 4627, section 3).
func wideEncoding(data []byte) encoding.Encoding {
	if len(data) < 2 {
		return nil
	}
	start := append(bytes.Clone(data[:min(4, len(data))]), 1, 1)[:4]
	isZero := [4]bool{start[0] == 0, start[1] == 0, start[2] == 0, start[3] == 0}
	mark := [2]byte(start)
	switch {
	case isZero[2] && isZero[3] && !isZero[0]: // the mark is ff fe 00 00
		return utf32.UTF32(utf32.LittleEndian, utf32.UseBOM)
	case isZero[0] && isZero[1]:
		return utf32.UTF32(utf32.BigEndian, utf32.UseBOM)
	case mark == [2]byte{0xff, 0xfe}, isZero[1] && !isZero[0]:
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	case mark == [2]byte{0xfe, 0xff}, isZero[0]:
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	}
	return nil
}

// withLineEnds converts the line ends of a text that has only carriage returns.
func withLineEnds(text string) string {
	if strings.Contains(text, "\n") {
		return text
	}
	return strings.ReplaceAll(text, "\r", "\n")
}

// binaryKinds are the first bytes of files that are no text.
var binaryKinds = []struct{ start, kind string }{
	{"\x1f\x8b", "it is compressed by gzip: give its content, as in `zcat FILE | arpfabric import -`"},
	{"\xfd7zXZ\x00", "it is compressed by xz: give its content, as in `xzcat FILE | arpfabric import -`"},
	{"\x28\xb5\x2f\xfd", "it is compressed by zstd: give its content, as in `zstdcat FILE | arpfabric import -`"},
	{"BZh", "it is compressed by bzip2: give its content, as in `bzcat FILE | arpfabric import -`"},
	{"PK\x03\x04", "it is a zip archive or a spreadsheet: unpack it, or save the spreadsheet as CSV"},
	{"\xd0\xcf\x11\xe0", "it is a spreadsheet: save it as CSV"},
	{"\x0a\x0d\x0d\x0a", capturedKind},
	{"\xd4\xc3\xb2\xa1", capturedKind},
	{"\xa1\xb2\xc3\xd4", capturedKind},
	{"\x4d\x3c\xb2\xa1", capturedKind},
	{"\xa1\xb2\x3c\x4d", capturedKind},
	{"SQLite format 3\x00", "it is an SQLite database: export the table as CSV"},
}

const capturedKind = "it is a capture: `arpfabric replay --learn` makes a registry from it"

// binaryKind says what a file is by its first bytes and what to do, or returns "".
func binaryKind(data []byte) string {
	for _, k := range binaryKinds {
		if bytes.HasPrefix(data, []byte(k.start)) {
			return k.kind
		}
	}
	return ""
}
