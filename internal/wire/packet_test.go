package wire_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/vishvananda/netlink"
)

// addPair makes a veth pair and sets both ends up.
func addPair(t *testing.T, near, far string) (nearIndex, farIndex int) {
	t.Helper()
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: near}, PeerName: far}
	if err := netlink.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lab.DeleteLink(near) })
	for _, name := range []string{near, far} {
		if err := link.Up(name); err != nil {
			t.Fatal(err)
		}
	}
	waitForCarrier(t, near, far)
	return index(t, near), index(t, far)
}

// waitForCarrier waits until the interfaces can send: the kernel notices only some time later that they are up.
func waitForCarrier(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		labtest.Eventually(t, name+" has a carrier", func() bool {
			dev, err := netlink.LinkByName(name)
			return err == nil && dev.Attrs().OperState == netlink.OperUp
		})
	}
}

func index(t *testing.T, name string) int {
	t.Helper()
	dev, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return dev.Index
}

// arpFrame returns a broadcast frame with the EtherType of ARP, behind tags, and with a number in its payload.
func arpFrame(number byte, tags ...uint32) []byte {
	frame := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 0x01}
	for _, tag := range tags {
		frame = binary.BigEndian.AppendUint32(frame, tag)
	}
	frame = append(frame, 0x08, 0x06)
	return append(frame, bytes.Repeat([]byte{number}, 46)...)
}

// readOne returns the next frame that arrives.
func readOne(t *testing.T, conn wire.Conn) wire.Frame {
	t.Helper()
	batch := make([]wire.Frame, wire.MaxBatch)
	for {
		n, err := conn.Read(batch)
		if err != nil {
			t.Fatal(err)
		}
		if n > 1 {
			t.Fatalf("%d frames arrived, want one: %+v", n, batch[:n])
		}
		if n == 1 {
			return wire.Frame{Port: batch[0].Port, Data: bytes.Clone(batch[0].Data)}
		}
	}
}

func openInterface(t *testing.T, ifindex int) *wire.Packet {
	t.Helper()
	conn, err := wire.OpenInterface(ifindex)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestInterfaceReadsFramesAsTheyWere(t *testing.T) {
	near, far := addPair(t, "near0", "far0")
	conn := openInterface(t, near)
	for _, frame := range [][]byte{
		arpFrame(1),
		arpFrame(2, 0x81000000), // 802.1Q, VLAN 0
		arpFrame(3, 0x8100e005),
		arpFrame(4, 0x88a80007), // 802.1ad
	} {
		t.Run(fmt.Sprintf("%x", frame[12:18]), func(t *testing.T) {
			sendFrom(t, far, experimental) // not ARP: must not be read
			sendFrom(t, near, frame)       // leaves: must not be read
			sendFrom(t, far, frame)
			got := readOne(t, conn)
			if got.Port != near || !bytes.Equal(got.Data, frame) {
				t.Errorf("from %d\n%x, want from %d\n%x", got.Port, got.Data, near, frame)
			}
		})
	}
}

func TestInterfaceReadsAtMostSnapLen(t *testing.T) {
	near, far := addPair(t, "near0", "far0")
	conn := openInterface(t, near)
	giant := append(arpFrame(1), make([]byte, 1000)...)
	sendFrom(t, far, giant)
	if got := readOne(t, conn); !bytes.Equal(got.Data, giant[:wire.SnapLen]) {
		t.Errorf("%d bytes: %x", len(got.Data), got.Data)
	}
}

func TestInterfaceDownAndUp(t *testing.T) {
	near, far := addPair(t, "near0", "far0")
	conn := openInterface(t, near)
	dev, err := netlink.LinkByName("near0")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetDown(dev); err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(dev); err != nil {
		t.Fatal(err)
	}
	waitForCarrier(t, "near0", "far0")
	sendFrom(t, far, arpFrame(1))
	if got := readOne(t, conn); got.Port != near {
		t.Errorf("from port %d, want %d", got.Port, near)
	}
}

func TestInterfaceIsRecreated(t *testing.T) {
	near, _ := addPair(t, "near0", "far0")
	conn := openInterface(t, near)
	if err := lab.DeleteLink("near0"); err != nil {
		t.Fatal(err)
	}
	anew, far := addPair(t, "near0", "far0")
	if err := conn.Bind(anew); err != nil {
		t.Fatal(err)
	}
	sendFrom(t, far, arpFrame(1))
	if got := readOne(t, conn); got.Port != anew {
		t.Errorf("from port %d, want %d", got.Port, anew)
	}
}

func TestWriteSkipsFramesThatCannotLeave(t *testing.T) {
	near, far := addPair(t, "near0", "far0")
	conn := openInterface(t, near)
	out, err := wire.OpenPacket(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	const nobody = 1 << 20
	n, err := out.Write([]wire.Frame{
		{Port: nobody, Data: arpFrame(1)},
		{Port: far, Data: arpFrame(2)},
		{Port: nobody, Data: arpFrame(3)},
	})
	if n != 1 || err != nil {
		t.Errorf("%d frames left, error %v; want the one with a port that is there", n, err)
	}
	if got := readOne(t, conn); !bytes.Equal(got.Data, arpFrame(2)) {
		t.Errorf("another frame arrived: %x", got.Data)
	}
}

func TestWriteMoreThanABatch(t *testing.T) {
	near, far := addPair(t, "near0", "far0")
	conn := openInterface(t, near)
	many := make([]wire.Frame, 3*wire.MaxBatch+1)
	for i := range many {
		many[i] = wire.Frame{Port: far, Data: arpFrame(byte(i))}
	}
	out, err := wire.OpenPacket(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if n, err := out.Write(many); n != len(many) || err != nil {
		t.Fatalf("%d of %d frames left: %v", n, len(many), err)
	}
	batch := make([]wire.Frame, wire.MaxBatch)
	for next := 0; next < len(many); {
		n, err := conn.Read(batch)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range batch[:n] {
			if !bytes.Equal(f.Data, many[next].Data) {
				t.Fatalf("frame %d: %x", next, f.Data)
			}
			next++
		}
	}
}

// A reader is the half of a Conn that reads.
type reader interface {
	Read([]wire.Frame) (int, error)
	Close() error
}

func TestCloseEndsRead(t *testing.T) {
	near, _ := addPair(t, "near0", "far0")
	nflog, err := wire.OpenNFLOG()
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func(*testing.T) reader{
		"interface": func(t *testing.T) reader { return openInterface(t, near) },
		"NFLOG":     func(*testing.T) reader { return nflog },
		"tap":       func(t *testing.T) reader { return openTAP(t, "arp0") },
	} {
		t.Run(name, func(t *testing.T) {
			conn := open(t)
			ended := make(chan error)
			go func() {
				for {
					if _, err := conn.Read(make([]wire.Frame, 1)); err != nil {
						ended <- err
						return
					}
				}
			}()
			conn.Close()
			<-ended
		})
	}
}

func TestOneNFLOGPerNamespace(t *testing.T) {
	first, err := wire.OpenNFLOG()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	before := descriptors(t)
	_, err = wire.OpenNFLOG()
	want := fmt.Sprintf("NFLOG group %d is in use: another fabric or a logger (ulogd?) runs in this network namespace; stop it", wire.Group)
	if err == nil || err.Error() != want {
		t.Errorf("a second one: %v, want %q", err, want)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}
