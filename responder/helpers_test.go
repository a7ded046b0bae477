package responder_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// The network of the capture that the decision table follows: a gateway and two guests.
var (
	gatewayMAC = mac("02:00:00:de:54:a8")
	guestMAC   = mac("02:00:06:de:54:a8")
	otherMAC   = mac("02:00:07:de:54:a8")

	gatewayIP = ip("10.239.0.1")
	guestIP   = ip("10.239.0.101")
	otherIP   = ip("10.239.0.102")

	noIP        = netip.IPv4Unspecified()
	zeroMAC     = registry.MAC{}
	broadcast   = mac("ff:ff:ff:ff:ff:ff")
	strangerMAC = mac("02:00:99:00:00:99") // has no binding
	strangerIP  = ip("10.239.0.50")
	denyMAC     = mac("02:aa:aa:aa:aa:aa")
)

var allReasons = slices.Collect(responder.Reasons())

// A network is a Responder with its policy, which the Responder does not tell.
type network struct {
	*responder.Responder
	policy responder.Policy
}

func newNetwork(t testing.TB, policy responder.Policy, bindings ...registry.Binding) network {
	t.Helper()
	return network{responder.New(registrytest.New(t, bindings...), policy), policy}
}

// fabric returns a network with the capture's bindings, a range, a router for 10.9.0.0/24 that is tied to port vnet3, and an
// address that moves between the two guests.
func fabric(t testing.TB, policy responder.Policy) network {
	t.Helper()
	moves := bind(sharedIP.String(), guestMAC.String())
	moves.Candidates = registry.MACsOf(guestMAC, otherMAC)
	tied := bind("10.239.0.103", "02:00:08:de:54:a8")
	tied.Port, tied.Routes = "vnet3", registrytest.Prefixes("10.9.0.0/24")
	return newNetwork(t, policy,
		bind("10.239.0.1", gatewayMAC.String()),
		bind("10.239.0.101", guestMAC.String()),
		bind("10.239.0.102", otherMAC.String()),
		tied,
		bind("10.239.0.128-10.239.0.191", "02:00:0a:00:00:01"),
		moves,
	)
}

var mac, bind = registrytest.MAC, registrytest.Bind

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// An arpFrame is an ARP frame by its fields, each of which a test can set to a wrong value.
type arpFrame struct {
	dst, src           registry.MAC
	tags               []uint32 // each TPID and TCI
	etherType          uint16
	hardware, protocol uint16
	hlen, plen         uint8
	operation          uint16
	senderMAC          registry.MAC
	senderIP           netip.Addr
	targetMAC          registry.MAC
	targetIP           netip.Addr
	trailer            []byte
}

// request returns the request that Linux sends to resolve target.
func request(senderMAC registry.MAC, senderIP, target netip.Addr) arpFrame {
	return arpFrame{
		dst: broadcast, src: senderMAC, etherType: 0x0806,
		hardware: 1, protocol: 0x0800, hlen: 6, plen: 4, operation: 1,
		senderMAC: senderMAC, senderIP: senderIP, targetIP: target,
	}
}

// with returns a changed copy of f.
func (f arpFrame) with(change func(*arpFrame)) arpFrame {
	change(&f)
	return f
}

func (f arpFrame) tagged(tags ...uint32) arpFrame {
	return f.with(func(f *arpFrame) { f.tags = tags })
}

func (f arpFrame) bytes() []byte {
	b := slices.Concat(f.dst[:], f.src[:])
	for _, tag := range f.tags {
		b = binary.BigEndian.AppendUint32(b, tag)
	}
	b = binary.BigEndian.AppendUint16(b, f.etherType)
	b = binary.BigEndian.AppendUint16(b, f.hardware)
	b = binary.BigEndian.AppendUint16(b, f.protocol)
	b = append(b, f.hlen, f.plen)
	b = binary.BigEndian.AppendUint16(b, f.operation)
	return slices.Concat(b, f.senderMAC[:], f.senderIP.AsSlice(), f.targetMAC[:], f.targetIP.AsSlice(), f.trailer)
}

// unhex decodes hexadecimal digits, and ignores white space.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// decide records the frame, calls Decide, and returns the verdict and the answer.
func decide(t testing.TB, n network, in responder.Ingress, frame []byte) (responder.Verdict, []byte) {
	t.Helper()
	n.record(in, frame)
	return decideTwice(t, n.Responder, in, frame)
}

// decideTwice calls Decide and returns the verdict and the answer. It fails the test if Decide changed the frame, wrote
// outside the answer, or returned something else from a second call.
func decideTwice(t testing.TB, r *responder.Responder, in responder.Ingress, frame []byte) (responder.Verdict, []byte) {
	t.Helper()
	before := bytes.Clone(frame)
	out, again := dirtyBuffer(), dirtyBuffer()
	v := r.Decide(in, frame, out)
	if !bytes.Equal(frame, before) {
		t.Fatalf("Decide changed the frame\n%x to\n%x", before, frame)
	}
	if (v.Action == responder.Reply) != (v.Len > 0) {
		t.Fatalf("verdict %+v: want a length for a reply, and none otherwise", v)
	}
	if rest, want := out[v.Len:], dirtyBuffer()[v.Len:]; !bytes.Equal(rest, want) {
		t.Fatalf("verdict %+v, but after the answer the buffer has %x", v, rest)
	}
	if v2 := r.Decide(in, frame, again); v2 != v || !bytes.Equal(out, again) {
		t.Fatalf("verdict %+v, then %+v for the same frame:\n%x\n%x", v, v2, out, again)
	}
	return v, out[:v.Len]
}

// dirtyBuffer returns a buffer that is longer than any answer and has no zeros.
func dirtyBuffer() []byte { return bytes.Repeat([]byte{0xee}, responder.MaxReplyLen+16) }

// checkVerdict compares action, reason and answer. want is in hexadecimal, empty for no answer.
func checkVerdict(t testing.TB, v responder.Verdict, answer []byte,
	action responder.Action, reason responder.Reason, want string) {
	t.Helper()
	if v.Action != action || v.Reason != reason {
		t.Errorf("verdict is %s, %s; want %s, %s", v.Action, v.Reason, action, reason)
	}
	if diff := cmp.Diff(hex.EncodeToString(unhex(t, want)), hex.EncodeToString(answer)); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}
