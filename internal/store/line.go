package store

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// The lines of the files. In the file of all allocations, the first line that is no comment has the revision of the last
// change that the file contains:
//
//	revision 43
//	allocate lab 10.239.0.103 02:00:09:de:54:a8 name=web port=vnet3 expires=2026-11-29T12:00:00Z revision=41
//	held lab 10.239.0.104 02:00:0a:de:54:a8 at=2026-11-29T00:12:01Z
//
// A line of the journal is a change, with its caller and, for a modified allocation, what it was:
//
//	change lab 10.239.0.103 02:00:09:de:54:a8 name=web revision=44 at=2026-11-29T00:14:00Z uid=0 pid=4711 was-mac=...

// heldVerb begins the line of a held address.
const heldVerb = "held"

// longestName is the longest name of an allocation, in bytes: as that of a label in DNS.
const longestName = 63

// CheckName returns an error unless an allocation may have this name. Such names have no spaces, and no characters that
// mean something to a shell.
func CheckName(name string) error {
	if name == "" || len(name) > longestName || !isAlphanumeric(name[0]) || !isAlphanumeric(name[len(name)-1]) ||
		strings.ContainsFunc(name, func(r rune) bool {
			return r >= utf8.RuneSelf || !isAlphanumeric(byte(r)) && !strings.ContainsRune("_.-", r)
		}) {
		return fmt.Errorf("%q is not a valid name: want 1 to 63 letters, digits, '-', '_' and '.', "+
			"starting and ending with a letter or digit", name)
	}
	if strings.Trim(name, "0123456789.") != "" {
		return nil // most names; parsing one takes longer
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return fmt.Errorf("the name %s would be taken for an address", name)
	}
	return nil
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// appendChange appends the line of a change to the journal's text.
func appendChange(line []byte, c Change) []byte {
	line = appendAllocation(line, string(c.Kind), c.Allocation)
	line = appendTime(line, "at", c.At)
	if c.Kind != Expire {
		line = fmt.Appendf(line, " uid=%d pid=%d", c.By.UID, c.By.PID)
	}
	if was := c.Before; was != nil {
		line = append(line, " was-mac="...)
		line = append(line, was.MAC.String()...)
		line = appendText(line, "was-name", was.Name)
		line = appendText(line, "was-port", was.Port)
		line = appendTime(line, "was-expires", was.Expires)
	}
	return append(line, '\n')
}

// appendAllocation appends the beginning of a line, without the newline.
func appendAllocation(line []byte, verb string, a Allocation) []byte {
	line = append(line, verb...)
	line = append(append(line, ' '), a.Network...)
	line = a.Address.AppendTo(append(line, ' '))
	line = append(append(line, ' '), a.MAC.String()...)
	line = appendText(line, "name", a.Name)
	line = appendText(line, "port", a.Port)
	line = appendTime(line, "expires", a.Expires)
	if a.Revision != 0 {
		line = strconv.AppendUint(append(line, " revision="...), a.Revision, 10)
	}
	return line
}

func appendText(line []byte, key, value string) []byte {
	if value == "" {
		return line
	}
	return append(append(append(append(line, ' '), key...), '='), value...)
}

func appendTime(line []byte, key string, at time.Time) []byte {
	if at.IsZero() {
		return line
	}
	return at.UTC().AppendFormat(append(append(append(line, ' '), key...), '='), time.RFC3339)
}

// FormatChange returns the line of a change in the journal, without the newline.
func FormatChange(c Change) string { return strings.TrimSuffix(string(appendChange(nil, c)), "\n") }

// FormatState returns the line of an address as it is after a change, without a revision: allocated, or held.
func FormatState(c Change) string {
	if c.Kind == Free || c.Kind == Expire {
		held := appendAllocation(nil, heldVerb, Allocation{Network: c.Network, Address: c.Address, MAC: c.MAC})
		return string(appendTime(held, "at", c.At))
	}
	c.Revision = 0
	return string(appendAllocation(nil, string(Allocate), c.Allocation))
}

// ParseState parses the line of an address, and returns the change after which it is so.
func ParseState(line string) (Change, error) {
	c, err := ParseChange(line)
	switch {
	case err != nil:
		return c, err
	case c.Kind == heldVerb:
		c.Kind = Free
	case c.Kind != Allocate:
		return c, fmt.Errorf("%s belongs into the history: here, lines begin with %s or %s", c.Kind, Allocate, heldVerb)
	}
	return c, nil
}

// ParseChange parses a line, which must not be empty. A held address is a change of the kind "held". The name of its
// network is a part of the line; the other texts are not, so that they do not keep the line in memory.
func ParseChange(line string) (c Change, err error) {
	verb, rest := cutWord(line)
	network, rest := cutWord(rest)
	address, rest := cutWord(rest)
	mac, rest := cutWord(rest)
	switch c.Kind = Kind(verb); c.Kind {
	case Allocate, Modify, Free, Expire, heldVerb:
	default:
		return c, fmt.Errorf("unknown word %q: a line begins with %s or %s", verb, Allocate, heldVerb)
	}
	c.Network = network
	if c.Address, err = netip.ParseAddr(address); err != nil || !c.Address.Is4() {
		return c, fmt.Errorf("%q is not an IPv4 address", address)
	}
	if c.MAC, err = registry.ParseMAC(mac); err != nil {
		return c, err
	}
	if err := c.Check(); err != nil {
		return c, err
	}
	for rest != "" {
		var word string
		word, rest = cutWord(rest)
		key, value, _ := strings.Cut(word, "=")
		if err := c.set(key, value); err != nil {
			return c, err
		}
	}
	return c, nil
}

// Check returns an error if an allocation cannot be a binding, whatever the network.
func (a Allocation) Check() error {
	switch ip := registry.IPv4Of(a.Address); {
	case ip>>24 == 0 || !ip.CanBeSource():
		return fmt.Errorf("no host can have the address %s", a.Address)
	case !a.MAC.IsUnicast():
		return fmt.Errorf("%s is not a unicast MAC (it is zero, broadcast or multicast)", a.MAC)
	}
	return nil
}

// cutWord returns the first word of a line and the rest.
func cutWord[T string | []byte](line T) (word, rest T) {
	line = trimSpaces(line)
	for i := range len(line) {
		if isSpace(line[i]) {
			return line[:i], trimSpaces(line[i:])
		}
	}
	return line, line[len(line):]
}

func trimSpaces[T string | []byte](line T) T {
	for len(line) > 0 && isSpace(line[0]) {
		line = line[1:]
	}
	return line
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// set sets a field by its key.
func (c *Change) set(key, value string) (err error) {
	switch key {
	case "name":
		c.Name = strings.Clone(value)
		return CheckName(value)
	case "port":
		c.Port = strings.Clone(value)
	case "expires":
		c.Expires, err = time.Parse(time.RFC3339, value)
	case "at":
		c.At, err = time.Parse(time.RFC3339, value)
	case "revision":
		c.Revision, err = strconv.ParseUint(value, 10, 64)
	case "uid":
		c.By.UID, err = parse32[uint32](value)
	case "pid":
		c.By.PID, err = parse32[int32](value)
	case "was-mac", "was-name", "was-port", "was-expires":
		return c.setBefore(strings.TrimPrefix(key, "was-"), value)
	default:
		return fmt.Errorf("unknown key %q", key)
	}
	if err != nil {
		return fmt.Errorf("%q is not a value of %s", value, key)
	}
	return nil
}

// setBefore sets a field of the allocation that was modified.
func (c *Change) setBefore(key, value string) (err error) {
	if c.Before == nil {
		c.Before = &Allocation{Network: c.Network, Address: c.Address}
	}
	switch key {
	case "mac":
		c.Before.MAC, err = registry.ParseMAC(value)
	case "name":
		c.Before.Name = strings.Clone(value)
	case "port":
		c.Before.Port = strings.Clone(value)
	case "expires":
		c.Before.Expires, err = time.Parse(time.RFC3339, value)
	}
	return err
}

func parse32[T int32 | uint32](text string) (T, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil && int64(T(n)) != n {
		err = strconv.ErrRange
	}
	return T(n), err
}
