package fabric_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// edit gives the only network the registry in force with some bindings removed and others added.
func edit(f *fabric.Fabric, remove, add []registry.Binding) error {
	n := f.Config().Networks[0]
	next, err := n.Registry.Edit(remove, add)
	if err != nil {
		return err
	}
	return f.SetRegistry(context.Background(), n.Name, next)
}

func ownedBy(addr netip.Addr, mac registry.MAC) []registry.Binding {
	return []registry.Binding{{First: addr, Last: addr, MAC: mac}}
}

// TestSetRegistry adds and removes one address. When SetRegistry returns, requests for it are answered, and the guests
// receive an announcement if its MAC has changed.
func TestSetRegistry(t *testing.T) {
	each(t, attachments, func(t *testing.T, s *stage) {
		f := start(t, network(s.attach))
		s.app.send(t, s.app.request(freeAddr).Frame())
		f.expectCounts(t, s.port, counts{responder.UnknownTarget: 1}, "a request for a free address")

		first, second := registrytest.MAC("02:00:0a:de:54:a8"), registrytest.MAC("02:00:0b:de:54:a8")
		labtest.Must(t, edit(f.Fabric, nil, ownedBy(freeAddr, first)))
		s.app.send(t, s.app.request(freeAddr).Frame())
		s.app.expectAnswer(t, 1, freeAddr, first)
		if b, ok := f.Config().Networks[0].Registry.Lookup(freeAddr); !ok || b.MAC != first {
			t.Errorf("the configuration in force has %v, %v", b, ok)
		}

		labtest.Must(t, edit(f.Fabric, ownedBy(freeAddr, first), ownedBy(freeAddr, second)))
		announcement := fmt.Sprintf("who-has %s tell %s", freeAddr, freeAddr)
		labtest.Eventually(t, "idle receives the announcement", func() bool {
			return slices.ContainsFunc(s.idle.receivedARP(), func(f []byte) bool { return strings.Contains(responder.Describe(f), announcement) })
		})

		labtest.Must(t, edit(f.Fabric, ownedBy(freeAddr, second), nil))
		s.app.send(t, s.app.request(freeAddr).Frame())
		f.expectCounts(t, s.port, counts{responder.UnknownTarget: 2, responder.Answered: 1}, "a request for the address that was taken back")
	})
}

// TestSetRegistryGuards checks that the allow-list follows the new registry: IPv4 from an address passes only while the
// address is bound to the guest.
func TestSetRegistryGuards(t *testing.T) {
	s := build(t, onBridge)
	f := start(t, network(s.attach))
	more := ownedBy(freeAddr, appMAC)
	for number, step := range []struct {
		remove, add []registry.Binding
		passes      bool
	}{{nil, nil, false}, {nil, more, true}, {more, nil, false}} {
		labtest.Must(t, edit(f.Fabric, step.remove, step.add))
		sent := lab.EchoReply(s.db.MAC, s.app.MAC, freeAddr, dbAddr, []byte{byte(number), 0})
		s.app.send(t, sent)
		sendMark(t, s.app, s.db, number+1)
		if s.db.hasReceived(sent) != step.passes {
			t.Errorf("step %d: IPv4 from %s arrives at db: %v", number, freeAddr, !step.passes)
		}
	}
}

func TestSetRegistryOfUnknownNetwork(t *testing.T) {
	s := build(t, onBridge)
	f := start(t, network(s.attach))
	err := f.SetRegistry(context.Background(), "other", &registry.Registry{})
	if err == nil || err.Error() != "there is no network other" {
		t.Errorf("error is %v", err)
	}
	s.app.send(t, s.app.request(gatewayAddr).Frame())
	s.app.expectAnswer(t, 1, gatewayAddr, gatewayMAC)
}

// BenchmarkSetRegistry changes one binding among many, including the change in the kernel.
func BenchmarkSetRegistry(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("bindings=%d", n), func(b *testing.B) {
			addTalkers(b)
			f, stop := runBench(b, benchNetwork(b, config.Attachment{Bridge: "br0"}, n))
			defer stop()
			addr := netip.MustParseAddr("10.200.0.1")
			macs := [2]registry.MAC{registrytest.MACOf(1 << 31), registrytest.MACOf(1<<31 + 1)}
			if err := edit(f, nil, ownedBy(addr, macs[0])); err != nil {
				b.Fatal(err)
			}
			for i := 0; b.Loop(); i++ {
				if err := edit(f, ownedBy(addr, macs[i%2]), ownedBy(addr, macs[(i+1)%2])); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
