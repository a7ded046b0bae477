package config

import (
	"strconv"
	"strings"
)

// number returns the number in a value from lowest to highest. If it is no such number, it reports what is wanted,
// and returns 0. Like an address, a number may have no leading zeros: YAML 1.1 reads 010 as 8.
func (c *converter) number(v value, lowest, highest uint64, want string) uint64 {
	n, err := strconv.ParseUint(v.text, 10, 64)
	switch {
	case err != nil || n < lowest || n > highest:
		c.add(v.place, "want %s, not %s", want, quote(v.text))
	case strings.HasPrefix(v.text, "0") && n != 0:
		c.add(v.place, "%s has a leading zero, which some programs read as octal: write it without the zero", quote(v.text))
	default:
		return n
	}
	return 0
}
