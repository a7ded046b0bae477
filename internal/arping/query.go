package arping

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// A Query says which requests to send.
type Query struct {
	Address   netip.Addr    // IPv4
	Interface string        // the sender; empty: the interface with Address in a subnet of its own
	Probe     bool          // send from 0.0.0.0, like a host that is about to use Address (RFC 5227, 2.1.1)
	Count     int           // number of requests, at least 1
	Interval  time.Duration // time between requests, 0 or more; at least Timeout
	Timeout   time.Duration // how long to listen for replies to a request, more than 0
}

// ParseAddress parses the address of a query.
func ParseAddress(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil || !addr.Is4() {
		return netip.Addr{}, fmt.Errorf("%q is not an IPv4 address", text)
	}
	return addr, nil
}

// Check returns all that is wrong with the query's numbers.
func (q Query) Check() error {
	var problems []error
	if q.Count < 1 {
		problems = append(problems, fmt.Errorf("--count is %d; it must be at least 1", q.Count))
	}
	if q.Interval < 0 {
		problems = append(problems, fmt.Errorf("--interval is %s; it can't be negative", q.Interval))
	}
	if q.Timeout <= 0 {
		problems = append(problems, fmt.Errorf("--timeout is %s; it must be positive", q.Timeout))
	}
	return errors.Join(problems...)
}
