package importer

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// TestEncodings reads a file of each kind of format in every encoding that Windows programs write, and wants the same
// bindings from the same lines.
func TestEncodings(t *testing.T) {
	encodings := map[string]encoding.Encoding{
		"UTF-8":                unicode.UTF8,
		"UTF-8 with mark":      unicode.UTF8BOM,
		"UTF-16LE":             unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM),
		"UTF-16LE with mark":   unicode.UTF16(unicode.LittleEndian, unicode.UseBOM),
		"UTF-16BE":             unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM),
		"UTF-16BE with mark":   unicode.UTF16(unicode.BigEndian, unicode.UseBOM),
		"UTF-32LE":             utf32.UTF32(utf32.LittleEndian, utf32.IgnoreBOM),
		"UTF-32LE with mark":   utf32.UTF32(utf32.LittleEndian, utf32.UseBOM),
		"UTF-32BE":             utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM),
		"UTF-32BE with a mark": utf32.UTF32(utf32.BigEndian, utf32.UseBOM),
	}
	for _, path := range []string{
		"testdata/hostsfile/default.hostsfile", "testdata/libvirt/default.xml", "testdata/docker/network.json",
		"testdata/kea-leases/kea-leases4.csv", "testdata/dnsmasq/dnsmasq.conf",
	} {
		plain := read(t, path)
		want := hostsOfText(t, plain)
		for name, e := range encodings {
			for end, text := range map[string]string{"LF": plain, "CRLF": strings.ReplaceAll(plain, "\n", "\r\n")} {
				encoded, err := e.NewEncoder().String(text)
				if err != nil {
					t.Fatal(err)
				}
				if got := hostsOfText(t, encoded); got != want {
					t.Errorf("%s in %s with %s: got\n%s\nwant\n%s", path, name, end, got, want)
				}
			}
		}
	}
}

// TestMarkedXML reads XML whose declaration names the encoding that the text had.
func TestMarkedXML(t *testing.T) {
	xml := read(t, "testdata/libvirt/default.xml")
	for _, name := range []string{"UTF-16", "utf-8", "ISO-8859-1"} {
		text := "<?xml version='1.0' encoding='" + name + "'?>" + xml
		if got, want := hostsOfText(t, text), hostsOfText(t, xml); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

// TestOldText reads text with carriage returns only, and text with bytes that are no UTF-8.
func TestOldText(t *testing.T) {
	const want = "10.239.0.101 02:00:06:de:54:a8 stdin:1\n10.239.0.102 02:00:07:de:54:a8 stdin:2\n"
	const old = "dhcp-host=02:00:06:de:54:a8,10.239.0.101,caf\xe9\rdhcp-host=02:00:07:de:54:a8,10.239.0.102\r"
	if got := hostsOfText(t, old); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func hostsOfText(t *testing.T, text string) string {
	t.Helper()
	found, err := Read([]string{"-"}, Options{Stdin: strings.NewReader(text), Now: now})
	if err != nil {
		t.Fatal(err, found.LeftOut)
	}
	return hostsText(found)
}

// TestBinary names what is no text, and what to do with it.
func TestBinary(t *testing.T) {
	for start, want := range map[string]string{
		"\x1f\x8b\x08\x00":     "compressed by gzip",
		"PK\x03\x04\x14\x00":   "spreadsheet",
		"\xd4\xc3\xb2\xa1\x02": "a capture: `arpfabric replay --learn`",
		"02:00\x00\x00\x00":    "it is binary",
		"\xff\xfea":            "unknown format",
		"":                     "the file is empty",
	} {
		found, err := Read([]string{"-"}, Options{Stdin: bytes.NewReader([]byte(start)), Now: now})
		if err == nil || len(found.LeftOut) != 1 || !strings.Contains(found.LeftOut[0].Why, want) {
			t.Errorf("%q: %v, %v; want %s", start, err, found.LeftOut, want)
		}
	}
}
