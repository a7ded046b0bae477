package link

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	multiBoolopt     = 46 // IFLA_BR_MULTI_BOOLOPT: a struct br_boolopt_multi, which is the options' bits and a mask
	noLinkLocalLearn = 1  // the bit of no_linklocal_learn
)

// LinkLocalLearning reports whether a bridge learns MACs from frames to link-local group addresses, 01:80:c2:00:00:00
// to 01:80:c2:00:00:0f. It returns true if the kernel has no such option (before Linux 5.0).
func LinkLocalLearning(bridge Link) (bool, error) {
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index = int32(bridge.Index)
	request.AddData(message)
	answers, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil || len(answers) == 0 || len(answers[0]) < unix.SizeofIfInfomsg {
		return true, fmt.Errorf("reading no_linklocal_learn of %s: %w", bridge.Name, cmp.Or(err, io.ErrUnexpectedEOF))
	}
	options := answers[0][unix.SizeofIfInfomsg:]
	for _, kind := range []uint16{unix.IFLA_LINKINFO, nl.IFLA_INFO_DATA, multiBoolopt} {
		if options = attribute(options, kind); options == nil {
			return true, nil
		}
	}
	return len(options) < 4 || binary.NativeEndian.Uint32(options)&noLinkLocalLearn == 0, nil
}

// attribute returns the value of the first netlink attribute of a kind, or nil.
func attribute(attributes []byte, kind uint16) []byte {
	list, err := netlink.NewAttributeDecoder(attributes)
	if err != nil {
		return nil
	}
	for list.Next() {
		if list.Type() == kind {
			return list.Bytes()
		}
	}
	return nil
}

// SetLinkLocalLearning sets whether a bridge learns MACs from frames to link-local group addresses
// (linux/if_bridge.h, BR_BOOLOPT_NO_LL_LEARN; Linux 5.0). The bridge learns from some of these before any nftables rule
// sees them, so that a guest could use them to attract the frames of another MAC.
func SetLinkLocalLearning(bridge Link, learn bool) error {
	value := uint32(noLinkLocalLearn)
	if learn {
		value = 0
	}
	options := binary.NativeEndian.AppendUint32(nil, value)
	options = binary.NativeEndian.AppendUint32(options, noLinkLocalLearn) // the mask of the bits to set

	request := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK)
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index = int32(bridge.Index)
	request.AddData(message)
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
	info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(multiBoolopt, options)
	request.AddData(info)
	if _, err := request.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf("setting no_linklocal_learn of %s: %w", bridge.Name, err)
	}
	return nil
}
