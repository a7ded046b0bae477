package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// MemberSettings has settings of a member of a bridge (bridge(8)).
type MemberSettings struct {
	// GroupForwarding is group_fwd_mask: the bit n says that the bridge treats frames to 01:80:c2:00:00:0n that enter by
	// the member like others, instead of taking them itself.
	GroupForwarding uint16

	Learns bool // learning: the bridge learns MACs from frames that enter by the member
	Floods bool // flood: unicast frames for MACs that the bridge does not know leave by the member

	IsIsolated bool // isolated: no frames from other isolated members leave by the member
	IsBlocked  bool // the state is not forwarding: STP, or somebody by hand, keeps frames from entering and leaving
}

const forwarding = 3 // BR_STATE_FORWARDING in linux/if_bridge.h

// ReadMemberSettings returns the settings of all members of bridges, by ifindex.
func ReadMemberSettings() (map[int]MemberSettings, error) {
	settings := map[int]MemberSettings{}
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	request.AddData(nl.NewIfInfomsg(unix.AF_BRIDGE))
	answers, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	for errors.Is(err, netlink.ErrDumpInterrupted) { // a member changed during the dump
		answers, err = request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	}
	if err != nil {
		return nil, fmt.Errorf("listing the members of bridges over netlink: %w", err)
	}
	for _, answer := range answers {
		index := int(nl.DeserializeIfInfomsg(answer).Index)
		member := attribute(answer[unix.SizeofIfInfomsg:], unix.IFLA_PROTINFO)
		if mask := attribute(member, nl.IFLA_BRPORT_GROUP_FWD_MASK); len(mask) >= 2 {
			settings[index] = MemberSettings{
				GroupForwarding: binary.NativeEndian.Uint16(mask),
				Learns:          isOn(attribute(member, nl.IFLA_BRPORT_LEARNING)),
				Floods:          isOn(attribute(member, nl.IFLA_BRPORT_UNICAST_FLOOD)),
				IsBlocked:       !slices.Equal(attribute(member, nl.IFLA_BRPORT_STATE), []byte{forwarding}),
				IsIsolated:      isOn(attribute(member, nl.IFLA_BRPORT_ISOLATED)),
			}
		}
	}
	return settings, nil
}

func isOn(value []byte) bool { return len(value) > 0 && value[0] != 0 }

// SetLearning sets whether a bridge learns MACs from frames that enter by a member.
func SetLearning(member Link, on bool) error {
	if err := netlink.LinkSetLearning(linkOf(member), on); err != nil {
		return fmt.Errorf("setting learning of %s: %w", member.Name, err)
	}
	return nil
}

// SetFlooding sets whether unicast frames for MACs that the bridge does not know leave by a member.
func SetFlooding(member Link, on bool) error {
	if err := netlink.LinkSetFlood(linkOf(member), on); err != nil {
		return fmt.Errorf("setting flood of %s: %w", member.Name, err)
	}
	return nil
}

func linkOf(l Link) netlink.Link {
	return &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: l.Index}}
}

// SetGroupForwarding sets group_fwd_mask of a member of a bridge (Linux 4.15). The kernel refuses the bit 1.
func SetGroupForwarding(member Link, mask uint16) error {
	if err := netlink.LinkSetBRSlaveGroupFwdMask(linkOf(member), mask); err != nil {
		return fmt.Errorf("setting group_fwd_mask of %s: %w", member.Name, err)
	}
	return nil
}
