package guard

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Tally is how many frames of a port the kernel has counted since the table was made, of those that the fabric saw
// few of or none.
type Tally struct {
	Refused uint64 // not on the allow-list
	Curbed  uint64 // ARP over the rate limit
}

// Tallies reads what the kernel has counted, by port, without those that had nothing to count. There are none
// without a table. It may be called at any time, by any goroutine.
func (g *Guard) Tallies() (map[string]Tally, error) {
	c, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return nil, tallyError(err)
	}
	defer c.CloseLasting()
	refused, err := readCounters(c, setRefused)
	if err != nil {
		return nil, tallyError(err)
	}
	curbed, err := readCounters(c, setCurbed)
	if err != nil {
		return nil, tallyError(err)
	}
	tallies := map[string]Tally{}
	for port, n := range refused {
		tallies[port] = Tally{Refused: n}
	}
	for port, n := range curbed {
		tallies[port] = Tally{Refused: tallies[port].Refused, Curbed: n}
	}
	return tallies, nil
}

// readCounters reads a dynamic set that counts by port.
func readCounters(c *nftables.Conn, name string) (map[string]uint64, error) {
	s := counters(name, "")
	elements, err := c.GetSetElements(&s.Set)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	counts := map[string]uint64{}
	for _, e := range elements {
		if e.Counter != nil && e.Counter.Packets > 0 {
			counts[strings.TrimRight(string(e.Key), "\x00")] = e.Counter.Packets
		}
	}
	return counts, nil
}

func tallyError(err error) error {
	return fmt.Errorf("reading the counters of the guard (nftables table bridge %s): %w", TableName, err)
}
