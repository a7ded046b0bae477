package nft

import (
	"errors"
	"fmt"
	"strings"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Counters returns the frames that the kernel has counted, by port, without the ports that have none. It returns an
// empty map if there is no table. Any goroutine may call it at any time.
func (g *BridgeTable) Counters() (map[string]datapath.Counters, error) {
	c, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return nil, countersError(err)
	}
	defer c.CloseLasting()
	refused, err := readCounters(c, setRefused)
	if err != nil {
		return nil, countersError(err)
	}
	limited, err := readCounters(c, setRateLimited)
	if err != nil {
		return nil, countersError(err)
	}
	all := map[string]datapath.Counters{}
	for port, n := range refused {
		all[port] = datapath.Counters{Refused: n}
	}
	for port, n := range limited {
		all[port] = datapath.Counters{
			Refused: all[port].Refused, Dropped: map[responder.Reason]uint64{responder.RateLimited: n},
		}
	}
	return all, nil
}

// readCounters returns the counts, by port, of a set that the kernel fills. It returns none if there is no such set.
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

func countersError(err error) error {
	return fmt.Errorf("reading the counters of the guard (nftables table bridge %s): %w", TableName, err)
}
