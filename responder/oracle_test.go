package responder_test

import (
	"bytes"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"

	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// TestOracle writes random requests and reads the answers with mdlayher/arp, another implementation of RFC 826, and
// expects Decide to read and write the same bytes with the same meaning.
func TestOracle(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		bindings := registrytest.Random(rng, 30)
		r := responder.New(registrytest.New(t, bindings...), responder.Policy{})
		for range 20 {
			ask := randomRequest(rng, bindings)
			in := responder.Ingress{Port: "vnet0", Trunk: ask.VLAN != nil}
			v, answer := decideTwice(t, r, in, marshal(t, ask.Frame, ask.Packet))
			owner := registrytest.Narrowest(bindings, ask.TargetIP)
			if want := expectedReason(ask, owner); v.Reason != want {
				t.Fatalf("%s; want %s for %+v", v.Reason, want, ask.Packet)
			}
			if owned := owner != nil && ask.SenderIP != ask.TargetIP; owned != (v.Action == responder.Reply) {
				t.Fatalf("verdict is %s, %s for %+v", v.Action, v.Reason, ask.Packet)
			}
			if v.Action == responder.Reply {
				checkAnswer(t, ask, owner.MAC, answer)
			}
		}
	}
}

// A message is an ARP packet and the Ethernet frame around it.
type message struct {
	ethernet.Frame
	arp.Packet
}

// randomRequest returns a request or a probe by the owner of one of bindings, mostly for a bound address, in a frame that
// may be tagged or unicast.
func randomRequest(rng *rand.Rand, bindings []registry.Binding) message {
	sender := bindings[rng.IntN(len(bindings))]
	senderIP := sender.First
	if owner := registrytest.Narrowest(bindings, senderIP); owner.MAC != sender.MAC || rng.IntN(3) == 0 {
		senderIP = noIP
	}
	targets := registrytest.Addrs(rng, bindings)
	targetIP := targets[rng.IntN(len(targets))]
	targetMAC := [][]byte{zeroMAC[:], broadcast[:], strangerMAC[:]}[rng.IntN(3)]
	packet, err := arp.NewPacket(arp.OperationRequest, sender.MAC[:], senderIP, targetMAC, targetIP)
	if err != nil {
		panic(err)
	}
	m := message{Packet: *packet}
	m.Destination, m.Source, m.EtherType = ethernet.Broadcast, sender.MAC[:], ethernet.EtherTypeARP
	if rng.IntN(2) == 0 {
		m.Destination = strangerMAC[:]
	}
	if rng.IntN(3) == 0 {
		m.VLAN = &ethernet.VLAN{Priority: ethernet.Priority(rng.IntN(8)), ID: uint16(rng.IntN(4095))}
	}
	return m
}

func marshal(t *testing.T, frame ethernet.Frame, packet arp.Packet) []byte {
	t.Helper()
	var err error
	if frame.Payload, err = packet.MarshalBinary(); err != nil {
		t.Fatal(err)
	}
	b, err := frame.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func expectedReason(ask message, owner *registry.Binding) responder.Reason {
	probe := ask.SenderIP == noIP
	switch {
	case ask.SenderIP == ask.TargetIP:
		return responder.Announcement
	case owner == nil:
		return responder.UnknownTarget
	case probe && bytes.Equal(owner.MAC[:], ask.SenderHardwareAddr):
		return responder.SelfProbe
	case probe:
		return responder.ConflictProbe
	}
	return responder.Answered
}

// checkAnswer expects the answer that the owner of the requested address would send.
func checkAnswer(t *testing.T, ask message, owner registry.MAC, answer []byte) {
	t.Helper()
	var frame ethernet.Frame
	if err := frame.UnmarshalBinary(answer); err != nil {
		t.Fatal(err)
	}
	var packet arp.Packet
	if err := packet.UnmarshalBinary(frame.Payload); err != nil {
		t.Fatal(err)
	}
	wantPacket, err := arp.NewPacket(arp.OperationReply, owner[:], ask.TargetIP, ask.SenderHardwareAddr, ask.SenderIP)
	if err != nil {
		t.Fatal(err)
	}
	wantFrame := ethernet.Frame{
		Destination: ask.Source, Source: net.HardwareAddr(owner[:]), VLAN: ask.VLAN,
		EtherType: ethernet.EtherTypeARP,
	}
	if diff := cmp.Diff(wantPacket, &packet, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("packet (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantFrame, frame, cmpopts.IgnoreFields(ethernet.Frame{}, "Payload")); diff != "" {
		t.Errorf("frame (-want +got):\n%s", diff)
	}
	if len(frame.Payload) != 46 || !bytes.Equal(frame.Payload[28:], make([]byte, 18)) {
		t.Errorf("payload is %x; want 46 bytes, the last 18 zero", frame.Payload)
	}
}
