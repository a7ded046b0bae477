package fabric_test

import (
	"errors"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

func TestPolicy(t *testing.T) {
	tests := []struct {
		name, policy string
		vary         []variation // changes to a request for the gateway
		reason       responder.Reason
		isAt         registry.MAC // zero for no answer
	}{
		{"self_probe by default", "{}", []variation{sender(unspecified), target(appAddr)},
			responder.SelfProbe, appMAC},
		{"self_probe: drop", "{self_probe: drop}", []variation{sender(unspecified), target(appAddr)},
			responder.SelfProbe, registry.MAC{}},
		{"unallocated_probe by default", "{}", []variation{sender(unspecified), target(freeAddr)},
			responder.UnknownTarget, registry.MAC{}},
		{"unallocated_probe: deny", "{unallocated_probe: deny}", []variation{sender(unspecified), target(freeAddr)},
			responder.UnallocatedProbe, config.DenyMAC},
		{"sender by default", "{}", []variation{sender(freeAddr)}, responder.UnregisteredSender, registry.MAC{}},
		{"sender: any", "{sender: any}", []variation{sender(freeAddr)}, responder.Answered, gatewayMAC},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := build(t, onBridge)
			fabric := start(t, network(s.attach, "policy: "+tt.policy))
			request := s.app.request(gatewayAddr)
			for _, v := range tt.vary {
				v(&request)
			}
			s.app.send(t, request.Frame())
			fabric.expectCounts(t, s.port, counts{tt.reason: 1}, tt.name)
			if tt.isAt != (registry.MAC{}) {
				s.app.expectAnswer(t, 1, request.TargetIP, tt.isAt)
				return
			}
			s.app.send(t, s.app.request(dbAddr).Frame()) // answers come in order
			s.app.expectAnswer(t, 1, dbAddr, dbMAC)
		})
	}
}

// TestDeniedProbe checks that a client that detects address conflicts gives up an address without a binding if the
// policy says so, always gives up another guest's address, and never its own, for which the answer has its own MAC.
func TestDeniedProbe(t *testing.T) {
	labtest.NeedProgram(t, "arping")
	tests := []struct {
		policy  string
		addr    netip.Addr
		isTaken bool
	}{
		{"drop", freeAddr, false},
		{"drop", dbAddr, true},
		{"drop", appAddr, false},
		{"deny", freeAddr, true},
		{"deny", dbAddr, true},
		{"deny", appAddr, false},
	}
	for _, tt := range tests {
		t.Run(tt.policy+" "+tt.addr.String(), func(t *testing.T) {
			s := build(t, onBridge)
			start(t, network(s.attach, "policy: {unallocated_probe: "+tt.policy+"}"))
			want := "Received 0 response(s)"
			if tt.isTaken {
				want = "Received 1 response(s)"
			}
			out, err := s.app.run(t, "arping", "-D", "-c", "1", "-I", "eth0", tt.addr.String())
			var failed *exec.ExitError
			isTaken := errors.As(err, &failed) && failed.ExitCode() == 1
			if isTaken != tt.isTaken || err != nil && !isTaken || !strings.Contains(out, want) {
				t.Errorf("arping: %v, want duplicate: %v\n%s", err, tt.isTaken, out)
			}
		})
	}
}

// TestGuardNone checks that the fabric answers, and does not guard the bridge.
func TestGuardNone(t *testing.T) {
	each(t, guarded, func(t *testing.T, s *stage) {
		start(t, network(s.attach, "policy: {guard: none}"))
		request := s.app.request(gatewayAddr).Frame()
		s.app.send(t, request)
		s.app.expectAnswer(t, 1, gatewayAddr, gatewayMAC)
		labtest.Eventually(t, "idle receives the request", func() bool { return s.idle.hasReceived(request) })
	})
}

// TestBoundToAPort checks that a binding with a port is valid only for frames from that port.
func TestBoundToAPort(t *testing.T) {
	s := build(t, onBridge)
	fabric := start(t, `networks:
  lab:
    attach: {bridge: br0}
    registry:
      10.239.0.1:   "02:00:00:de:54:a8"
      10.239.0.101: {mac: "02:00:06:de:54:a8", port: vnet1}
      10.239.0.102: "02:00:07:de:54:a8"
`)
	request := s.app.request(gatewayAddr)
	s.app.send(t, request.Frame())
	s.app.expectAnswer(t, 1, gatewayAddr, gatewayMAC)
	s.db.send(t, request.Frame())
	fabric.expectCounts(t, "vnet2", counts{responder.SpoofedSender: 1}, "the same from another port")
	fabric.expectCounts(t, "vnet1", counts{responder.Answered: 1}, "one request")
	sendMark(t, s.app, s.db, 1)
	if heard := s.db.receivedARP(); len(heard) > 0 {
		t.Errorf("db heard %x", heard)
	}
}
