package link

import (
	"encoding/binary"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ReadReceived returns how many frames each interface has received, by ifindex: on a guest's TAP or veth, those that the
// guest has sent.
func ReadReceived() (map[int]uint64, error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETSTATS, unix.NLM_F_DUMP)
	request.AddRawData(statsRequest())
	messages, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWSTATS)
	if err != nil {
		return nil, fmt.Errorf("reading the counters of interfaces over netlink: %w", err)
	}
	received := make(map[int]uint64, len(messages))
	for _, m := range messages {
		if index, frames, ok := parseReceived(m); ok {
			received[index] = frames
		}
	}
	return received, nil
}

// The struct if_stats_msg (linux/if_link.h) precedes the attributes: the family, three bytes of padding, the ifindex, and
// the attributes that are wanted.
const (
	sizeofIfStatsMsg = 12
	ifindexAt        = 4
	filterAt         = 8

	statsLink64     = 1      // IFLA_STATS_LINK_64
	wantStatsLink64 = 1 << 0 // its bit in the filter
)

func statsRequest() []byte {
	message := make([]byte, sizeofIfStatsMsg)
	binary.NativeEndian.PutUint32(message[filterAt:], wantStatsLink64)
	return message
}

// parseReceived returns rx_packets, the first field of struct rtnl_link_stats64.
func parseReceived(message []byte) (index int, frames uint64, ok bool) {
	if len(message) < sizeofIfStatsMsg {
		return 0, 0, false
	}
	attributes, err := nl.ParseRouteAttr(message[sizeofIfStatsMsg:])
	if err != nil {
		return 0, 0, false
	}
	for _, a := range attributes {
		if a.Attr.Type == statsLink64 && len(a.Value) >= 8 {
			return int(binary.NativeEndian.Uint32(message[ifindexAt:])), binary.NativeEndian.Uint64(a.Value), true
		}
	}
	return 0, 0, false
}
