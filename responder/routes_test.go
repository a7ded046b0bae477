package responder_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

var (
	routerMAC  = mac("02:00:0b:de:54:a8")
	tiedRouter = mac("02:00:0c:de:54:a8")
)

// withRouters returns a network with two guests, a router for all addresses, and one for 10.9.0.0/24 that is tied to vnet3.
func withRouters(t testing.TB, policy responder.Policy) network {
	t.Helper()
	router := bind("10.239.0.110", routerMAC.String())
	router.Routes = registrytest.Prefixes("0.0.0.0/0")
	tied := bind("10.239.0.111", tiedRouter.String())
	tied.Port, tied.Routes = "vnet3", registrytest.Prefixes("10.9.0.0/24")
	return newNetwork(t, policy, bind("10.239.0.101", guestMAC.String()), bind("10.239.0.102", otherMAC.String()), router, tied)
}

func TestAllowListRouters(t *testing.T) {
	for _, tt := range []struct {
		name   string
		src    registry.MAC
		srcIP  string
		port   string
		reason responder.Reason
	}{
		{"from its own address", routerMAC, "10.239.0.110", "vnet0", responder.Admitted},
		{"from an address of the internet", routerMAC, "8.8.8.8", "vnet0", responder.Admitted},
		{"from an address that is bound to another", routerMAC, "10.239.0.101", "vnet0", responder.Admitted},
		{"from 0.0.0.0", routerMAC, "0.0.0.0", "vnet0", responder.UnregisteredSource},
		{"from the loopback network", routerMAC, "127.0.0.1", "vnet0", responder.UnregisteredSource},
		{"from a group", routerMAC, "224.0.0.251", "vnet0", responder.UnregisteredSource},
		{"from the limited broadcast address", routerMAC, "255.255.255.255", "vnet0", responder.UnregisteredSource},
		{"from a route, by its own port", tiedRouter, "10.9.0.7", "vnet3", responder.Admitted},
		{"from a route, by another port", tiedRouter, "10.9.0.7", "vnet4", responder.UnregisteredSource},
		{"from the next address", tiedRouter, "10.9.1.0", "vnet3", responder.UnregisteredSource},
		{"from a bound address in no route", tiedRouter, "10.239.0.101", "vnet3", responder.SpoofedSource},
		{"from a route of another guest", guestMAC, "8.8.8.8", "vnet0", responder.UnregisteredSource},
	} {
		t.Run(tt.name, func(t *testing.T) {
			frame := datagram.with(func(f *ipFrame) { f.src, f.srcIP = tt.src, ip(tt.srcIP) }).bytes()
			v := admit(t, withRouters(t, responder.Policy{}), responder.Ingress{Port: tt.port}, frame)
			if passes := tt.reason == responder.Admitted; v.Reason != tt.reason || (v.Action == pass) != passes {
				t.Errorf("verdict is %s, %s; want %s", v.Action, v.Reason, tt.reason)
			}
		})
	}
}

// TestRoutesAreNotARP expects ARP about the addresses of a route as if there were none: no answers for them, and no requests
// from them.
func TestRoutesAreNotARP(t *testing.T) {
	n := withRouters(t, responder.Policy{})
	for _, tt := range []struct {
		name  string
		frame arpFrame
		want  responder.Reason
	}{
		{"for an address in a route", request(guestMAC, guestIP, ip("8.8.8.8")), responder.UnknownTarget},
		{"from an address in a route", request(routerMAC, ip("8.8.8.8"), guestIP), responder.UnregisteredSender},
		{"from a bound address in a route", request(routerMAC, otherIP, guestIP), responder.SpoofedSender},
		{"from its own address", request(routerMAC, ip("10.239.0.110"), guestIP), responder.Answered},
	} {
		if v, _ := decide(t, n, responder.Ingress{Port: "vnet0"}, tt.frame.bytes()); v.Reason != tt.want {
			t.Errorf("%s: %s; want %s", tt.name, v.Reason, tt.want)
		}
	}
}

func TestLocateRouter(t *testing.T) {
	frame := datagram.with(func(f *ipFrame) { f.src, f.srcIP = tiedRouter, ip("10.9.0.7") }).bytes()
	for port, want := range map[string]bool{"vnet3": true, "vnet4": false} {
		in := responder.Ingress{Port: port, AllowList: true}
		if at, ok := withRouters(t, responder.Policy{}).Locate(in, frame); ok != want || ok && at.MAC != tiedRouter {
			t.Errorf("what it forwards by %s shows %+v, %v", port, at, ok)
		}
	}
}

func TestExplainRouter(t *testing.T) {
	frame := datagram.with(func(f *ipFrame) { f.src, f.srcIP = routerMAC, otherIP }).bytes()
	in := responder.Ingress{Port: "vnet0", AllowList: true}
	var got []string
	for _, row := range withRouters(t, responder.Policy{}).Explain(in, frame, nil).Rows {
		if row.Reason == responder.UnregisteredSource || row.Reason == responder.SpoofedSource && row.Binding != nil {
			got = append(got, row.Compared+" / "+row.Binding.String())
		}
	}
	because := "10.239.0.102 is bound to 02:00:07:de:54:a8, and 02:00:0b:de:54:a8 is a router with routes for 0.0.0.0/0 / " +
		"10.239.0.110 is-at 02:00:0b:de:54:a8"
	if diff := cmp.Diff([]string{because, because}, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}
