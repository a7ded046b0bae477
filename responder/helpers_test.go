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

	"github.com/arpfabric/arpfabric/responder"
)

// The network of the capture that the decision follows: a gateway and two guests.
var (
	gatewayMAC = mac("02:00:00:de:54:a8")
	guestMAC   = mac("02:00:06:de:54:a8")
	otherMAC   = mac("02:00:07:de:54:a8")

	gatewayIP = ip("10.239.0.1")
	guestIP   = ip("10.239.0.101")
	otherIP   = ip("10.239.0.102")

	noIP        = netip.IPv4Unspecified()
	zeroMAC     = responder.MAC{}
	broadcast   = mac("ff:ff:ff:ff:ff:ff")
	strangerMAC = mac("02:00:99:00:00:99") // bound to nothing
	strangerIP  = ip("10.239.0.50")
	denyMAC     = mac("02:aa:aa:aa:aa:aa")
)

// fabric has the capture's bindings, one of them tied to a port, a range and a guest behind vnet3.
func fabric(t testing.TB, policy responder.Policy) *responder.Responder {
	t.Helper()
	tied := bind("10.239.0.103", "02:00:08:de:54:a8")
	tied.Port = "vnet3"
	return responder.New(registry(t,
		bind("10.239.0.1", gatewayMAC.String()),
		bind("10.239.0.101", guestMAC.String()),
		bind("10.239.0.102", otherMAC.String()),
		tied,
		bind("10.239.0.128-10.239.0.191", "02:00:0a:00:00:01"),
	), policy)
}

func mac(s string) responder.MAC {
	m, err := responder.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return m
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// bind reads "first" or "first-last" and a MAC.
func bind(addresses, owner string) responder.Binding {
	first, last, isRange := strings.Cut(addresses, "-")
	if !isRange {
		last = first
	}
	return responder.Binding{First: ip(first), Last: ip(last), MAC: mac(owner)}
}

func registry(t testing.TB, bindings ...responder.Binding) *responder.Registry {
	t.Helper()
	reg, err := responder.NewRegistry(slices.Values(bindings))
	if err != nil {
		t.Fatalf("NewRegistry: %v", err)
	}
	return reg
}

// An arpFrame is a frame to be written field by field, so that each can be wrong.
type arpFrame struct {
	dst, src           responder.MAC
	tags               []uint32 // each TPID and TCI
	etherType          uint16
	hardware, protocol uint16
	hlen, plen         uint8
	operation          uint16
	senderMAC          responder.MAC
	senderIP           netip.Addr
	targetMAC          responder.MAC
	targetIP           netip.Addr
	trailer            []byte
}

// request is what Linux sends to resolve target.
func request(senderMAC responder.MAC, senderIP, target netip.Addr) arpFrame {
	return arpFrame{
		dst: broadcast, src: senderMAC, etherType: 0x0806,
		hardware: 1, protocol: 0x0800, hlen: 6, plen: 4, operation: 1,
		senderMAC: senderMAC, senderIP: senderIP, targetIP: target,
	}
}

// with returns a copy of f that change has been made to.
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

// unhex reads hexadecimal digits with white space between them.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// handle calls Handle and returns the verdict and the answer. It fails the test if Handle changed the frame
// or wrote anywhere but to the answer, or if a second call says something else.
func handle(t testing.TB, r *responder.Responder, in responder.In, frame []byte) (responder.Verdict, []byte) {
	t.Helper()
	before := bytes.Clone(frame)
	out, again := dirtyBuffer(), dirtyBuffer()
	v := r.Handle(in, frame, out)
	if !bytes.Equal(frame, before) {
		t.Fatalf("Handle changed the frame\n%x to\n%x", before, frame)
	}
	if (v.Action == responder.Reply) != (v.Len > 0) {
		t.Fatalf("verdict %+v: a reply has a length and nothing else has", v)
	}
	if rest, want := out[v.Len:], dirtyBuffer()[v.Len:]; !bytes.Equal(rest, want) {
		t.Fatalf("verdict %+v, but behind the answer there is %x", v, rest)
	}
	if v2 := r.Handle(in, frame, again); v2 != v || !bytes.Equal(out, again) {
		t.Fatalf("verdict %+v, then %+v for the same frame:\n%x\n%x", v, v2, out, again)
	}
	return v, out[:v.Len]
}

// dirtyBuffer has room for more than an answer, and no zeros.
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
