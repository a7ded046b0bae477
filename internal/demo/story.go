package demo

import (
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

const bridge = "br0"

// configuration is all that the fabric has to know; %s is the mode.
const configuration = `networks:
  lab:
    mode: %s
    attach: {bridge: br0}
    registry:
      10.239.0.1:   "02:00:00:de:54:a8"  # gw
      10.239.0.101: "02:00:06:de:54:a8"  # app
      10.239.0.102: "02:00:07:de:54:a8"  # db
`

// The guests have the addresses of the capture.
var (
	gw     = guest("gw", "10.239.0.1", 0x02, 0x00, 0x00, 0xde, 0x54, 0xa8)
	app    = guest("app", "10.239.0.101", 0x02, 0x00, 0x06, 0xde, 0x54, 0xa8)
	db     = guest("db", "10.239.0.102", 0x02, 0x00, 0x07, 0xde, 0x54, 0xa8)
	guests = []lab.GuestConfig{app, gw, db} // as they are reported: app plays, the others look on
)

var (
	gwIP          = gw.Addr.Addr()
	appIP         = app.Addr.Addr()
	dbIP          = db.Addr.Addr()
	unallocatedIP = netip.MustParseAddr("10.239.0.77")
	unspecifiedIP = netip.IPv4Unspecified() // the sender of a probe (RFC 5227, 1.1)

	everybody = ethernet.Broadcast
	nobody    = make(net.HardwareAddr, 6)
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

// audience is the guests that don't play.
func audience() []lab.GuestConfig { return []lab.GuestConfig{gw, db} }

// A step is one request of app's, and what comes of it.
type step struct {
	title   string        // what app wants
	pause   time.Duration // before it
	request lab.ARP
	sent    string           // as tcpdump shows the request
	verdict responder.Reason // the fabric's; in classic mode, what it would have been
	vpc     string           // the answer that app sees in vpc mode, if any
	classic string           // and in classic mode...
	owner   string           // ...from the guest of this name
}

var story = []step{
	{
		title:   "resolve the gateway",
		request: ask(everybody, appIP, nobody, gwIP),
		sent:    "ARP, Request who-has 10.239.0.1 tell 10.239.0.101, length 28",
		verdict: responder.Answered,
		vpc:     "ARP, Reply 10.239.0.1 is-at 02:00:00:de:54:a8, length 46",
		classic: "ARP, Reply 10.239.0.1 is-at 02:00:00:de:54:a8, length 28",
		owner:   "gw",
	},
	{
		title:   "resolve the other guest",
		request: ask(everybody, appIP, nobody, dbIP),
		sent:    "ARP, Request who-has 10.239.0.102 tell 10.239.0.101, length 28",
		verdict: responder.Answered,
		vpc:     "ARP, Reply 10.239.0.102 is-at 02:00:07:de:54:a8, length 46",
		classic: "ARP, Reply 10.239.0.102 is-at 02:00:07:de:54:a8, length 28",
		owner:   "db",
	},
	{
		title:   "probe its own address",
		request: ask(everybody, unspecifiedIP, everybody, appIP),
		sent:    "ARP, Request who-has 10.239.0.101 (ff:ff:ff:ff:ff:ff) tell 0.0.0.0, length 28",
		verdict: responder.SelfProbe,
		vpc:     "ARP, Reply 10.239.0.101 is-at 02:00:06:de:54:a8, length 46",
	},
	{
		title:   "probe it again, a second later",
		pause:   time.Second,
		request: ask(everybody, unspecifiedIP, everybody, appIP),
		sent:    "ARP, Request who-has 10.239.0.101 (ff:ff:ff:ff:ff:ff) tell 0.0.0.0, length 28",
		verdict: responder.SelfProbe,
		vpc:     "ARP, Reply 10.239.0.101 is-at 02:00:06:de:54:a8, length 46",
	},
	{
		title:   "ask for an unallocated address",
		request: ask(everybody, appIP, nobody, unallocatedIP),
		sent:    "ARP, Request who-has 10.239.0.77 tell 10.239.0.101, length 28",
		verdict: responder.UnknownTarget,
	},
	{
		title:   "announce itself",
		request: ask(everybody, appIP, nobody, appIP),
		sent:    "ARP, Request who-has 10.239.0.101 tell 10.239.0.101, length 28",
		verdict: responder.Announcement,
	},
	{
		// Answers come in order: with this one here, none to the steps before is on its way any more.
		title:   "ask the gateway alone (unicast)",
		request: ask(gw.MAC, appIP, nobody, gwIP),
		sent:    "ARP, Request who-has 10.239.0.1 tell 10.239.0.101, length 28",
		verdict: responder.Answered,
		vpc:     "ARP, Reply 10.239.0.1 is-at 02:00:00:de:54:a8, length 46",
		classic: "ARP, Reply 10.239.0.1 is-at 02:00:00:de:54:a8, length 28",
		owner:   "gw",
	},
}

// answer returns what app sees in answer, or "".
func (s step) answer(mode config.Mode) string {
	if mode == config.VPC {
		return s.vpc
	}
	return s.classic
}

// hearers returns the guests that the request reaches on a plain bridge.
func (s step) hearers() []lab.GuestConfig {
	return slices.DeleteFunc(audience(), func(g lab.GuestConfig) bool {
		return !slices.Equal(s.request.Destination, everybody) && !slices.Equal(s.request.Destination, g.MAC)
	})
}

func ask(to net.HardwareAddr, senderIP netip.Addr, targetMAC net.HardwareAddr, targetIP netip.Addr) lab.ARP {
	return lab.ARP{
		Destination: to, Source: app.MAC,
		Operation:          arp.OperationRequest,
		SenderHardwareAddr: app.MAC, SenderIP: senderIP,
		TargetHardwareAddr: targetMAC, TargetIP: targetIP,
	}
}
