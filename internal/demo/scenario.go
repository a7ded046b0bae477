package demo

import (
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/mdlayher/ethernet"
)

const (
	bridge  = "br0"
	network = "lab"
)

// configuration is the whole configuration of the fabric; %s is the mode.
const configuration = `networks:
  lab:
    mode: %s
    attach: {bridge: br0}
    registry:
      10.239.0.1:   "02:00:00:de:54:a8"  # gw
      10.239.0.101: "02:00:06:de:54:a8"  # app
      10.239.0.102: "02:00:07:de:54:a8"  # db
    subnet: 10.239.0.0/24
    gateway: 10.239.0.1
`

// The guests have the addresses and the MACs of the capture.
var (
	gw     = guest("gw", "10.239.0.1", 0x02, 0x00, 0x00, 0xde, 0x54, 0xa8)
	app    = guest("app", "10.239.0.101", 0x02, 0x00, 0x06, 0xde, 0x54, 0xa8)
	db     = guest("db", "10.239.0.102", 0x02, 0x00, 0x07, 0xde, 0x54, 0xa8)
	guests = []lab.GuestConfig{app, gw, db} // in the order of the report; only app sends requests
)

var (
	gwIP          = gw.Addr.Addr()
	appIP         = app.Addr.Addr()
	dbIP          = db.Addr.Addr()
	unallocatedIP = netip.MustParseAddr("10.239.0.77")
	unspecifiedIP = netip.IPv4Unspecified() // the sender of a probe (RFC 5227, 1.1)

	broadcast = ethernet.Broadcast
	zeroMAC   = make(net.HardwareAddr, 6)
)

func guest(name, addr string, mac ...byte) lab.GuestConfig {
	return lab.GuestConfig{
		Name:   name,
		Port:   "vnet-" + name,
		Bridge: bridge,
		MAC:    mac,
		Addr:   netip.PrefixFrom(netip.MustParseAddr(addr), 24),
	}
}

// listeners returns the guests that send no requests.
func listeners() []lab.GuestConfig { return []lab.GuestConfig{gw, db} }

// A step is one request of app, with the expected verdict and answers.
type step struct {
	title   string        // for the report
	pause   time.Duration // before the request
	request lab.ARP
	sent    string           // the request as tcpdump prints it
	verdict responder.Reason // of the fabric; in classic mode the one that vpc would have made
	vpc     string           // the answer in vpc mode; "" for none
	classic string           // the answer in classic mode; "" for none
	owner   string           // the guest that answers in classic mode
}

var scenario = []step{
	{
		title:   "resolve the gateway",
		request: arpRequest(broadcast, appIP, zeroMAC, gwIP),
		sent:    "ARP, Request who-has 10.239.0.1 tell 10.239.0.101, length 28",
		verdict: responder.Answered,
		vpc:     "ARP, Reply 10.239.0.1 is-at 02:00:00:de:54:a8, length 46",
		classic: "ARP, Reply 10.239.0.1 is-at 02:00:00:de:54:a8, length 28",
		owner:   "gw",
	},
	{
		title:   "resolve the other guest",
		request: arpRequest(broadcast, appIP, zeroMAC, dbIP),
		sent:    "ARP, Request who-has 10.239.0.102 tell 10.239.0.101, length 28",
		verdict: responder.Answered,
		vpc:     "ARP, Reply 10.239.0.102 is-at 02:00:07:de:54:a8, length 46",
		classic: "ARP, Reply 10.239.0.102 is-at 02:00:07:de:54:a8, length 28",
		owner:   "db",
	},
	{
		title:   "probe its own address",
		request: arpRequest(broadcast, unspecifiedIP, broadcast, appIP),
		sent:    "ARP, Request who-has 10.239.0.101 (ff:ff:ff:ff:ff:ff) tell 0.0.0.0, length 28",
		verdict: responder.SelfProbe,
		vpc:     "ARP, Reply 10.239.0.101 is-at 02:00:06:de:54:a8, length 46",
	},
	{
		title:   "probe it again, a second later",
		pause:   time.Second,
		request: arpRequest(broadcast, unspecifiedIP, broadcast, appIP),
		sent:    "ARP, Request who-has 10.239.0.101 (ff:ff:ff:ff:ff:ff) tell 0.0.0.0, length 28",
		verdict: responder.SelfProbe,
		vpc:     "ARP, Reply 10.239.0.101 is-at 02:00:06:de:54:a8, length 46",
	},
	{
		title:   "ask for an unallocated address",
		request: arpRequest(broadcast, appIP, zeroMAC, unallocatedIP),
		sent:    "ARP, Request who-has 10.239.0.77 tell 10.239.0.101, length 28",
		verdict: responder.UnknownTarget,
	},
	{
		title:   "announce itself",
		request: arpRequest(broadcast, appIP, zeroMAC, appIP),
		sent:    "ARP, Request who-has 10.239.0.101 tell 10.239.0.101, length 28",
		verdict: responder.Announcement,
	},
	{
		// This step is the last because it has an answer in both modes, and answers arrive in order: once its answer
		// has arrived, no answer to an earlier step can arrive.
		title:   "ask the gateway alone (unicast)",
		request: arpRequest(gw.MAC, appIP, zeroMAC, gwIP),
		sent:    "ARP, Request who-has 10.239.0.1 tell 10.239.0.101, length 28",
		verdict: responder.Answered,
		vpc:     "ARP, Reply 10.239.0.1 is-at 02:00:00:de:54:a8, length 46",
		classic: "ARP, Reply 10.239.0.1 is-at 02:00:00:de:54:a8, length 28",
		owner:   "gw",
	},
}

// answer returns the answer that app receives in a mode, or "" for none.
func (s step) answer(mode config.Mode) string {
	if mode == config.VPC {
		return s.vpc
	}
	return s.classic
}

// receivers returns the guests that receive the request on a plain bridge.
func (s step) receivers() []lab.GuestConfig {
	return slices.DeleteFunc(listeners(), func(g lab.GuestConfig) bool {
		return !slices.Equal(s.request.Destination, broadcast) && !slices.Equal(s.request.Destination, g.MAC)
	})
}

func arpRequest(to net.HardwareAddr, senderIP netip.Addr, targetMAC net.HardwareAddr, targetIP netip.Addr) lab.ARP {
	request := lab.Request(app.MAC, senderIP, targetIP)
	request.Destination, request.TargetHardwareAddr = to, targetMAC
	return request
}
