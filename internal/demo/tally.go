package demo

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// A kind of frame in the tunnels. Only the first one is right.
type kind string

const (
	direct     kind = "to the guest's host"
	astray     kind = "to another host"
	unknown    kind = "to no guest"
	broadcasts kind = "broadcasts"
	multicasts kind = "multicasts"
)

var kinds = []kind{direct, astray, unknown, broadcasts, multicasts}

// A tally counts the frames that each host has sent into tunnels.
type tally map[*host]map[kind]int

// beginTally leaves out of the next tally what was sent before.
func (t *hostsTestbed) beginTally() {
	for _, h := range t.hosts {
		h.tallied = len(h.wire.Frames())
	}
}

func (t *hostsTestbed) tally() tally {
	all := tally{}
	for _, h := range t.hosts {
		all[h] = map[kind]int{}
		for _, f := range h.wire.Frames()[h.tallied:] {
			if to, inner, ok := tunnelled(f.Frame); ok && !f.Sent {
				all[h][t.kindOf(to, inner)]++
			}
		}
	}
	return all
}

// tunnelled returns the frame that a packet of VXLAN carries (RFC 7348, 5), and the host that it is for. It returns false for
// another packet.
func tunnelled(frame []byte) (to netip.Addr, inner []byte, ok bool) {
	const ethernet, ip, udp, vxlan, protocolUDP = 14, 20, 8, 8, 17
	const headers = ethernet + ip + udp + vxlan
	if len(frame) < headers+ethernet || !isIPv4(frame) || frame[ethernet+9] != protocolUDP ||
		binary.BigEndian.Uint16(frame[ethernet+ip+2:]) != link.VXLANPort {
		return to, nil, false
	}
	return netip.AddrFrom4([4]byte(frame[ethernet+16:])), frame[headers:], true
}

func (t *hostsTestbed) kindOf(to netip.Addr, frame []byte) kind {
	mac := registry.MAC(frame)
	if mac[0]&1 != 0 {
		if [6]byte(mac) == [6]byte(broadcast) {
			return broadcasts
		}
		return multicasts
	}
	for _, g := range t.guests {
		switch {
		case registry.MAC(g.MAC) != mac:
		case g.host.Addr.Addr() == to:
			return direct
		default:
			return astray
		}
	}
	return unknown
}

func (t tally) sum(k kind) (sum int) {
	for _, counts := range t {
		sum += counts[k]
	}
	return sum
}

// check returns an error if the tunnels had anything else than a number of frames for the hosts of their guests.
func (t tally) check(number int) error {
	if sum := t.sum(direct); sum != number {
		return fmt.Errorf("%d frames went to the hosts of their guests, not %d", sum, number)
	}
	for _, k := range kinds[1:] {
		if sum := t.sum(k); sum > 0 {
			return fmt.Errorf("%d frames are wrong: %s", sum, k)
		}
	}
	return nil
}
