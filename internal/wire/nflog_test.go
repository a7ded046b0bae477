package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// nflogDatagram builds a message as the kernel sends it.
func nflogDatagram(t testing.TB, kind uint16, attrs ...netlink.Attribute) []byte {
	t.Helper()
	return nflogDatagramOf(t, unix.NFPROTO_BRIDGE, kind, attrs...)
}

// nflogDatagramOf builds a message about a frame that a table of an nftables family logged.
func nflogDatagramOf(t testing.TB, family byte, kind uint16, attrs ...netlink.Attribute) []byte {
	t.Helper()
	data, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		t.Fatal(err)
	}
	message := netlink.Message{
		Header: netlink.Header{Length: uint32(nlmsgHeaderLen + nfgenHeaderLen + len(data)), Type: netlink.HeaderType(kind)},
		Data:   append([]byte{family, 0, Group >> 8, Group & 0xff}, data...),
	}
	datagram, err := message.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return datagram
}

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// vlanAttr is NFULA_VLAN with its two nested attributes.
func vlanAttr(t testing.TB, proto, tci uint16) netlink.Attribute {
	t.Helper()
	nested, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: vlanProto, Data: binary.BigEndian.AppendUint16(nil, proto)},
		{Type: vlanTCI, Data: binary.BigEndian.AppendUint16(nil, tci)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return netlink.Attribute{Type: attrVLAN | netlink.Nested, Data: nested}
}

func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseNFLOG(t *testing.T) {
	header := fromHex(t, "ffffffffffff 020006de54a8 0806")
	payload := fromHex(t, "0001 0800 06 04 0001 020006de54a8 0aef0065 000000000000 0aef0001")
	phys := netlink.Attribute{Type: attrPhysIn, Data: be32(7)}
	in := netlink.Attribute{Type: attrInDev, Data: be32(3)}
	outPort := netlink.Attribute{Type: attrPhysOut, Data: be32(9)}
	outBridge := netlink.Attribute{Type: attrOutDev, Data: be32(3)}
	l2 := netlink.Attribute{Type: attrL2Hdr, Data: header}
	body := netlink.Attribute{Type: attrPayload, Data: payload}
	untagged := append(bytes.Clone(header), payload...)
	tagged := append(fromHex(t, "ffffffffffff 020006de54a8 88a8 6005 0806"), payload...)

	tests := []struct {
		name  string
		attrs []netlink.Attribute
		kind  uint16
		port  int
		frame []byte // nil: no frame
	}{
		{"plain", []netlink.Attribute{phys, in, l2, body}, subsysULOG<<8 | msgPacket, 7, untagged},
		{"no physical port named", []netlink.Attribute{in, l2, body}, subsysULOG<<8 | msgPacket, 3, untagged},
		{"tag in an attribute", []netlink.Attribute{phys, in, vlanAttr(t, 0x88a8, 0x6005), l2, body}, subsysULOG<<8 | msgPacket, 7, tagged},
		{"a header alone", []netlink.Attribute{phys, l2}, subsysULOG<<8 | msgPacket, 7, header},
		{"from the host", []netlink.Attribute{outPort, outBridge, l2, body}, subsysULOG<<8 | msgPacket, 9, untagged},
		{"no header", []netlink.Attribute{phys, body}, subsysULOG<<8 | msgPacket, 0, nil},
		{"an acknowledgement", []netlink.Attribute{phys, l2, body}, uint16(netlink.Error), 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, ok := parseNFLOG(nflogDatagram(t, tt.kind, tt.attrs...))
			if ok != (tt.frame != nil) {
				t.Fatalf("ok = %v, frame %x", ok, f.Data)
			}
			if fromHost := tt.name == "from the host"; f.FromHost != fromHost {
				t.Errorf("FromHost = %v, want %v", f.FromHost, fromHost)
			}
			if f.Port != tt.port || !bytes.Equal(f.Data, tt.frame) {
				t.Errorf("port %d, frame\n%x, want port %d, frame\n%x", f.Port, f.Data, tt.port, tt.frame)
			}
		})
	}
}

// TestParseNFLOGOfNetdev has messages of the netdev family. On egress, the payload begins with the Ethernet header, and
// the attribute for the header repeats it, with the tag.
func TestParseNFLOGOfNetdev(t *testing.T) {
	plain := fromHex(t, "ffffffffffff 020006de54a8 0806 0001 0800 06 04 0001 020006de54a8 0aef0065 000000000000 0aef0001")
	tagged := slices.Concat(plain[:12], fromHex(t, "8100 0005"), plain[12:])
	in := netlink.Attribute{Type: attrInDev, Data: be32(3)}
	out := netlink.Attribute{Type: attrOutDev, Data: be32(3)}
	header := func(n int) netlink.Attribute { return netlink.Attribute{Type: attrL2Hdr, Data: tagged[:n]} }
	plainHeader := netlink.Attribute{Type: attrL2Hdr, Data: plain[:14]}
	payload := func(b []byte) netlink.Attribute { return netlink.Attribute{Type: attrPayload, Data: b} }
	tests := []struct {
		name  string
		attrs []netlink.Attribute
		frame []byte // nil: no frame
		leave bool
	}{
		{"comes in", []netlink.Attribute{in, plainHeader, payload(plain[14:])}, plain, false},
		{"leaves", []netlink.Attribute{out, plainHeader, payload(plain)}, plain, true},
		{"leaves with a tag", []netlink.Attribute{out, header(18), payload(tagged)}, tagged, true},
		{"leaves with the tag in an attribute", []netlink.Attribute{out, vlanAttr(t, 0x8100, 5), plainHeader, payload(plain)}, tagged, true},
		{"leaves without the attribute for the header", []netlink.Attribute{out, payload(plain)}, plain, true},
		{"leaves, cut", []netlink.Attribute{out, plainHeader, payload(plain[:13])}, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, ok := parseNFLOG(nflogDatagramOf(t, unix.NFPROTO_NETDEV, subsysULOG<<8|msgPacket, tt.attrs...))
			if ok != (tt.frame != nil) {
				t.Fatalf("ok = %v, frame %x", ok, f.Data)
			}
			if ok && (f.Port != 3 || f.FromHost != tt.leave || !bytes.Equal(f.Data, tt.frame)) {
				t.Errorf("port %d, from the host: %v, frame\n%x, want\n%x", f.Port, f.FromHost, f.Data, tt.frame)
			}
		})
	}
}

func TestParseNFLOGTruncated(t *testing.T) {
	datagram := nflogDatagram(t, subsysULOG<<8|msgPacket,
		netlink.Attribute{Type: attrPhysIn, Data: be32(7)},
		vlanAttr(t, 0x8100, 5),
		netlink.Attribute{Type: attrL2Hdr, Data: make([]byte, 14)},
		netlink.Attribute{Type: attrPayload, Data: make([]byte, 28)})
	for n := range datagram {
		if f, ok := parseNFLOG(bytes.Clone(datagram[:n])); ok {
			t.Errorf("a datagram cut after %d bytes gave the frame %x", n, f.Data)
		}
	}
}

func FuzzParseNFLOG(f *testing.F) {
	f.Add(nflogDatagram(f, subsysULOG<<8|msgPacket,
		netlink.Attribute{Type: attrPhysIn, Data: be32(7)},
		vlanAttr(f, 0x8100, 5),
		netlink.Attribute{Type: attrL2Hdr, Data: make([]byte, 14)},
		netlink.Attribute{Type: attrPayload, Data: make([]byte, 28)}))
	f.Add(nflogDatagramOf(f, unix.NFPROTO_NETDEV, subsysULOG<<8|msgPacket,
		netlink.Attribute{Type: attrOutDev, Data: be32(7)},
		vlanAttr(f, 0x8100, 5),
		netlink.Attribute{Type: attrPayload, Data: make([]byte, 42)}))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		frame, ok := parseNFLOG(bytes.Clone(datagram))
		if ok && len(frame.Data) < macsLen+2 {
			t.Errorf("a frame without a whole Ethernet header: %x", frame.Data)
		}
	})
}
