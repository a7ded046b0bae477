package link

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ForgetMACs makes the bridge of a port forget which MACs it has learned to be behind it
// (linux/if_link.h, IFLA_BRPORT_FLUSH). What the administrator has entered stays. A port that is no member of a bridge any
// more is no error.
func ForgetMACs(port Link) error {
	const flush = 24 // IFLA_BRPORT_FLUSH
	request := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	message := nl.NewIfInfomsg(unix.AF_BRIDGE)
	message.Index = int32(port.Index)
	request.AddData(message)
	info := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
	info.AddRtAttr(flush, nil)
	request.AddData(info)
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	if err != nil && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("making the bridge forget the MACs behind %s: %w", port.Name, err)
	}
	return nil
}
