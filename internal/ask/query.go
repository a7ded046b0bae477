package ask

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Query is what to ask, and how.
type Query struct {
	Address   netip.Addr    // IPv4
	Interface string        // to ask from; if empty, the one with a subnet that Address is in
	Probe     bool          // ask from 0.0.0.0, as who is about to take Address does (RFC 5227, 2.1.1)
	Count     int           // how many requests, at least 1
	Interval  time.Duration // from one request to the next, 0 or more; Timeout if that is longer
	Timeout   time.Duration // how long to listen for replies to a request, more than 0
}

// ParseAddress reads the address to ask for.
func ParseAddress(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil || !addr.Is4() {
		return netip.Addr{}, fmt.Errorf("%q is not an IPv4 address", text)
	}
	return addr, nil
}

// Check says all that is wrong with the numbers.
func (q Query) Check() error {
	var problems []error
	if q.Count < 1 {
		problems = append(problems, fmt.Errorf("--count is %d; ask at least once", q.Count))
	}
	if q.Interval < 0 {
		problems = append(problems, fmt.Errorf("--interval is %s; it can't be negative", q.Interval))
	}
	if q.Timeout <= 0 {
		problems = append(problems, fmt.Errorf("--timeout is %s; it must be longer than nothing", q.Timeout))
	}
	return errors.Join(problems...)
}
