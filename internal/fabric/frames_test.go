package fabric_test

import (
	"flag"
	"net"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/decisiontest"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/vishvananda/netlink"
)

var update = flag.Bool("update", false, "write the frames of the tests in testdata again")

// TestRecordedFrames checks that testdata has the frames that app sends in the tests of a guarded bridge. With them, a test of
// the eBPF program holds it to responder.
func TestRecordedFrames(t *testing.T) {
	built := build(t, onBridge)
	bridge, err := netlink.LinkByName(bridgeName)
	labtest.Must(t, err)
	labtest.Must(t, netlink.LinkSetHardwareAddr(bridge, net.HardwareAddr{0x02, 0, 0xfe, 0xde, 0x54, 0xa8})) // otherwise it is random
	s := buildAllowList(t, built)
	in := responder.Ingress{Port: s.app.Port, AllowList: true, HostMAC: registry.MAC(s.host.MAC)}
	var recorded decisiontest.File
	record := func(configuration string, frame []byte) {
		n := loadConfig(t, configuration).Networks[0]
		recorded.Add(n.Registry, n.Policy, decisiontest.Case{In: in, Frame: frame})
	}
	for _, h := range hostileFrames(s.stage) {
		record(network(s.attach), h.frame)
	}
	for _, sending := range slices.Concat(s.sendings(), s.dhcp()) {
		record(s.configuration(t), sending.frame)
	}
	for _, sending := range s.inside() {
		record(s.withGateway(t), sending.frame)
	}
	labtest.Must(t, recorded.Check("testdata/frames.jsonl", *update))
}
