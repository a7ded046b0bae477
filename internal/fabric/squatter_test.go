package fabric_test

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// TestGatewayIsSquatted has a host behind an uplink use the gateway's address. It is found at the start, though it says
// nothing by itself, and another one when it speaks. Each is logged once.
func TestGatewayIsSquatted(t *testing.T) {
	s := build(t, onBridge)
	outside := addGuest(t, 9, "outside")
	labtest.Must(t, outside.Do(func() error { return labtest.AddAddress("eth0", netip.PrefixFrom(gatewayAddr, 24)) }))
	log := &journal{}
	configuration := network("{bridge: br0, uplinks: [vnet9]}", "subnet: 10.239.0.0/24", "gateway: 10.239.0.1")
	f := startLogging(t, loadConfig(t, configuration), slog.NewJSONHandler(log, nil))
	const want = "but 02:00:0e:de:54:a8 behind the uplink vnet9 uses it; find that host, or correct the binding"
	expectFinding(t, f, "the gateway 10.239.0.1 is bound to 02:00:00:de:54:a8 (")
	expectFinding(t, f, want)

	forged := outside.request(appAddr)
	forged.SenderIP, forged.Source, forged.SenderHardwareAddr = gatewayAddr, []byte{2, 0, 0, 0, 0, 0x66}, []byte{2, 0, 0, 0, 0, 0x66}
	rightful := outside.request(appAddr)
	rightful.SenderIP, rightful.Source, rightful.SenderHardwareAddr = gatewayAddr, gatewayMAC[:], gatewayMAC[:]
	for range 3 {
		outside.send(t, forged.Frame())
		outside.send(t, rightful.Frame())
	}
	expectFinding(t, f, "but 02:00:00:00:00:66 behind the uplink vnet9 uses it")
	outside.ask(t) // from its own address, which is not registered: the frames before it are decided about
	lines := 0
	for _, line := range log.with(t, "network", "lab") {
		if message, _ := line["msg"].(string); strings.Contains(message, "is bound to") {
			lines++
		}
	}
	if found := f.Findings()["lab"]; lines != 2 || strings.Contains(strings.Join(found, "\n"), "but 02:00:00:de:54:a8") {
		t.Errorf("%d warnings; findings: %q", lines, found)
	}
	f.reload(t, strings.Replace(configuration, gatewayMAC.String(), registry.MAC(outside.MAC).String(), 1))
	if found := strings.Join(f.Findings()["lab"], "\n"); strings.Contains(found, "but 02:00:0e:de:54:a8") || !strings.Contains(found, "but 02:00:00:00:00:66") {
		t.Errorf("findings after the binding is corrected: %q", found)
	}
	f.reload(t, strings.Replace(configuration, `"`+gatewayMAC.String()+`"`, `{macs: ["02:00:00:de:54:a8", "02:00:00:00:00:66"]}`, 1))
	if found := strings.Join(f.Findings()["lab"], "\n"); !strings.Contains(found, want) || strings.Contains(found, "but 02:00:00:00:00:66") {
		t.Errorf("findings after the address may move to that MAC: %q", found)
	}
	s.app.ask(t)
}
