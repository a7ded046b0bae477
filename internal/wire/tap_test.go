package wire_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func openTAP(t *testing.T, name string) *wire.TAP {
	t.Helper()
	labtest.NeedTUN(t)
	tap, err := wire.OpenTAP(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tap.Close() })
	return tap
}

func exists(name string) bool {
	_, err := net.InterfaceByName(name)
	return err == nil
}

func TestTAPGoesAwayWithTheFabric(t *testing.T) {
	tap := openTAP(t, "arp0")
	if !exists("arp0") {
		t.Fatal("arp0 was not made")
	}
	tap.Close()
	labtest.Eventually(t, "arp0 goes away", func() bool { return !exists("arp0") })
}

func TestTAPThatWasThereStays(t *testing.T) {
	labtest.NeedTUN(t)
	there := &netlink.Tuntap{
		LinkAttrs: netlink.LinkAttrs{Name: "arp0"}, Mode: netlink.TUNTAP_MODE_TAP,
		Owner: uint32(os.Getuid()), Group: uint32(os.Getgid()),
	}
	if err := netlink.LinkAdd(there); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lab.DeleteLink("arp0") })
	openTAP(t, "arp0").Close()
	if !exists("arp0") {
		t.Error("a persistent TAP that was there before is gone")
	}
}

func TestTAPNameIsNotTruncated(t *testing.T) {
	_, err := wire.OpenTAP("arpfabric-tap-00")
	if err == nil || !strings.Contains(err.Error(), "at most 15 bytes") {
		t.Errorf("16 bytes: %v", err)
	}
}

func TestTAPFailureLeavesNoDescriptor(t *testing.T) {
	labtest.NeedTUN(t)
	if err := lab.AddBridge("br0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lab.DeleteLink("br0") })
	before := descriptors(t)
	_, err := wire.OpenTAP("br0")
	if err == nil || !strings.Contains(err.Error(), "br0 exists and is not a TAP device") {
		t.Errorf("opening a bridge as a TAP: %v", err)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestTAPInUse(t *testing.T) {
	openTAP(t, "arp0")
	_, err := wire.OpenTAP("arp0")
	if !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), "in use by another program") {
		t.Errorf("opening a TAP twice: %v", err)
	}
}

func TestTAPIsRecreated(t *testing.T) {
	tap := openTAP(t, "arp0")
	before := index(t, "arp0")
	var readFrom atomic.Int64 // the port of the experimental frame
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		batch := make([]wire.Frame, wire.MaxBatch)
		for {
			n, err := tap.Read(batch)
			if err != nil {
				return
			}
			for _, f := range batch[:n] { // the kernel also sends frames of its own
				if bytes.Equal(f.Data, experimental) {
					readFrom.Store(int64(f.Port))
				}
			}
		}
	}()
	if err := lab.DeleteLink("arp0"); err != nil {
		t.Fatal(err)
	}
	labtest.Eventually(t, "arp0 comes back", func() bool {
		now, err := net.InterfaceByName("arp0")
		return err == nil && now.Index != before
	})
	if err := link.Up("arp0"); err != nil {
		t.Fatal(err)
	}
	now := index(t, "arp0")
	labtest.Eventually(t, "a frame is read from the new arp0", func() bool {
		sendFrom(t, now, experimental)
		return readFrom.Load() == int64(now)
	})
	tap.Close()
	<-ended
}

// experimental is a frame of an EtherType for experiments (IEEE 802, 9.2.3).
var experimental = append([]byte{
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 0x01, 0x88, 0xb5,
}, make([]byte, 46)...)

func sendFrom(t *testing.T, ifindex int, frame []byte) {
	t.Helper()
	out, err := wire.OpenPacket(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if n, err := out.Write([]wire.Frame{{Port: ifindex, Data: frame}}); n != 1 || err != nil {
		t.Fatalf("sent %d frames: %v", n, err)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
