package fabric_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"
	"unsafe"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// TestChecksumOverTheEtherType has a virtual machine let the kernel write a checksum over the EtherType of a frame when
// it leaves by db's port (CHECKSUM_PARTIAL), after the rules: bytes that are IPv4 by their EtherType become IPv6. First
// they arrive without a fabric, which shows that the kernel does so; later kernels than 6.1 refuse. With a fabric, they
// do not arrive.
func TestChecksumOverTheEtherType(t *testing.T) {
	labtest.NeedTUN(t)
	s := build(t, onBridge)
	labtest.Must(t, switchOffChecksums(s.db.Port))
	vm := addVM(t, "vnet4", net.HardwareAddr{0x02, 0x00, 0x09, 0xde, 0x54, 0xa8}, netip.MustParseAddr("10.239.0.104"))
	sendMark(t, s.db, s.app, 1)
	sent, arrives := vm.asIPv6(s.db, 1)
	err := vm.sendPartial(sent, etherTypeAt, 0)
	if errors.Is(err, unix.EINVAL) {
		t.Skip("the kernel refuses to write a checksum there")
	}
	labtest.Must(t, err)
	labtest.Eventually(t, "they arrive as IPv6 without a fabric", func() bool { return s.db.hasReceived(arrives) })

	fabric := start(t, network(s.attach))
	sent, arrives = vm.asIPv6(s.db, 2)
	labtest.Must(t, vm.sendPartial(sent, etherTypeAt, 0))
	fabric.expectCounts(t, "vnet4", counts{responder.Malformed: 1}, "such a frame")
	sendMark(t, s.app, s.db, 2)
	for _, frame := range [][]byte{sent, arrives} {
		if s.db.hasReceived(frame) {
			t.Errorf("db has received %x", frame)
		}
	}
}

// TestMisplacedChecksum has a virtual machine let the kernel write a checksum over a part of a frame that the rules look
// at. First the frame arrives without a fabric, which shows that the kernel writes there; with a fabric, neither
// the frame nor what the kernel would make of it arrives. A packet whose own checksum the kernel writes arrives.
func TestMisplacedChecksum(t *testing.T) {
	needKernelDatapath(t)
	needVerdictsOnChecksums(t)
	labtest.NeedTUN(t)
	s := build(t, onBridge)
	labtest.Must(t, switchOffChecksums(s.db.Port))
	vm := addVM(t, "vnet4", net.HardwareAddr{0x02, 0x00, 0x09, 0xde, 0x54, 0xa8}, netip.MustParseAddr("10.239.0.104"))
	const source, destination, udpPort = 26, 30, 36 // in the frame
	frames := []struct {
		name         string
		start, place int
		want         uint16 // what the kernel is to write there
		frame        func(*guest, byte) []byte
	}{
		{"the source, from the IPv4 header on", 20, source + 2, 0x0067, vm.udp},
		{"the source, from there on", source, source, 0x0a00, vm.udp},
		{"the destination", source, destination + 2, 0x0001, vm.udp},
		{"the UDP port of a DHCP server", destination, udpPort, 67, vm.udp},
		{"the source of ARP", 22, 28, 0x0a00, vm.ask},
	}
	sendMark(t, s.db, s.app, 1)
	for i, f := range frames {
		sent, arrives := written(f.frame(s.db, byte(i)), f.start, f.place, f.want)
		labtest.Must(t, vm.sendPartial(sent, uint16(f.start), uint16(f.place-f.start)))
		labtest.Eventually(t, f.name+": it arrives without a fabric", func() bool { return s.db.hasReceived(arrives) })
	}

	fabric := start(t, network(s.attach))
	labtest.Eventually(t, "vnet4 has the program", func() bool {
		sent, _ := written(vm.udp(s.db, 100), frames[0].start, frames[0].place, frames[0].want)
		labtest.Must(t, vm.sendPartial(sent, uint16(frames[0].start), uint16(frames[0].place-frames[0].start)))
		return fabric.counts("vnet4")[responder.MisplacedChecksum] > 0
	})
	want := fabric.counts("vnet4")
	for i, f := range frames {
		sent, arrives := written(f.frame(s.db, byte(10+i)), f.start, f.place, f.want)
		labtest.Must(t, vm.sendPartial(sent, uint16(f.start), uint16(f.place-f.start)))
		want[responder.MisplacedChecksum]++
		fabric.expectCounts(t, "vnet4", want, f.name)
		sendMark(t, s.app, s.db, 2+i)
		for _, frame := range [][]byte{sent, arrives} {
			if s.db.hasReceived(frame) {
				t.Errorf("%s: db has received %x", f.name, frame)
			}
		}
	}

	const udpStart, udpChecksum = 34, 40
	for i, f := range []struct {
		name         string
		start, place int
	}{
		{"its own checksum", udpStart, udpChecksum},
		{"one in a tunnel's payload", 50, 56},
	} {
		sent, arrives := written(vm.udp(s.db, byte(20+i)), f.start, f.place, 0x1234)
		labtest.Must(t, vm.sendPartial(sent, uint16(f.start), uint16(f.place-f.start)))
		labtest.Eventually(t, f.name+" arrives", func() bool { return s.db.hasReceived(arrives) })
	}
}

// needVerdictsOnChecksums skips a test on kernels that do not tell eBPF programs where the kernel will write a checksum.
func needVerdictsOnChecksums(t *testing.T) {
	t.Helper()
	kernel, err := btf.LoadKernelSpec()
	labtest.Must(t, err)
	var kfunc *btf.Func
	if err := kernel.TypeByName("bpf_cast_to_kern_ctx", &kfunc); errors.Is(err, btf.ErrNotFound) {
		t.Skip("the kernel does not tell programs where it will write a checksum (bpf_cast_to_kern_ctx, Linux 6.2)")
	}
}

// written returns a frame with a checksum that the kernel is to write, and the frame that has it. The checksum of the bytes from
// start on is want, because of the last two bytes.
func written(frame []byte, start, place int, want uint16) (sent, arrives []byte) {
	sent = bytes.Clone(frame)
	// A checksum is the complement of the sum in one's complement, so the last two bytes are what is missing for it.
	binary.BigEndian.PutUint16(sent[len(sent)-2:], uint16((uint32(lab.Checksum(sent[start:]))+0xffff-uint32(want))%0xffff))
	return sent, patched(sent, place, byte(want>>8), byte(want))
}

// virtioHeaderLen is the length of struct virtio_net_hdr, which comes before each frame.
const virtioHeaderLen = 10

// A virtualMachine is a guest that sends by a TAP with offloads, as QEMU does for virtio-net.
type virtualMachine struct {
	tap  int
	mac  net.HardwareAddr
	addr netip.Addr
}

// addVM makes a TAP that is a member of br0, until the test ends.
func addVM(t testing.TB, port string, mac net.HardwareAddr, addr netip.Addr) *virtualMachine {
	t.Helper()
	tap, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	labtest.Must(t, err)
	t.Cleanup(func() { unix.Close(tap) })
	request, err := unix.NewIfreq(port)
	labtest.Must(t, err)
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	labtest.Must(t, unix.IoctlIfreq(tap, unix.TUNSETIFF, request))
	labtest.Must(t, lab.SetMaster(port, bridgeName))
	setUp(t, port)
	return &virtualMachine{tap, mac, addr}
}

// sendPartial sends a frame, and leaves it to the kernel to write the checksum of the bytes from start on, at an offset
// from start.
func (vm *virtualMachine) sendPartial(frame []byte, start, offset uint16) error {
	// struct virtio_net_hdr: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset.
	const needsChecksum = 1
	header := []byte{needsChecksum, 0, 0, 0, 0, 0}
	header = binary.NativeEndian.AppendUint16(header, start)
	header = binary.NativeEndian.AppendUint16(header, offset)
	_, err := unix.Write(vm.tap, append(header, frame...))
	return err
}

const etherTypeAt = 12

// asIPv6 returns a frame to a guest that is IPv4 by its EtherType only, and the frame with the EtherType of IPv6. The
// checksum of the bytes from the EtherType on is that of IPv6. The addresses of IPv4 are those of the sender and the guest. number
// tells frames apart.
func (vm *virtualMachine) asIPv6(to *guest, number byte) (sent, arrives []byte) {
	frame := patched(ipv6(to.MAC, vm.mac), etherTypeAt, 0x08, 0x00)
	copy(frame[14+12:], append(vm.addr.AsSlice(), to.Addr.Addr().AsSlice()...))
	frame[14+3] = number // in the flow label
	return written(frame, etherTypeAt, etherTypeAt, 0x86dd)
}

// ask returns a request for a guest's address, with padding. number tells frames apart.
func (vm *virtualMachine) ask(g *guest, number byte) []byte {
	return append(lab.Request(vm.mac, vm.addr, g.Addr.Addr()).Frame(), number, 0, 0, 0)
}

// udp returns a packet with some bytes of payload. number tells frames apart.
func (vm *virtualMachine) udp(to *guest, number byte) []byte {
	payload := make([]byte, 40)
	frame := packet{to: to.MAC, from: vm.mac, src: vm.addr, dst: to.Addr.Addr(), udp: true, srcPort: 1000 + uint16(number), dstPort: 9}.frame()
	frame = append(frame, payload...)
	binary.BigEndian.PutUint16(frame[16:], uint16(20+8+len(payload)))
	binary.BigEndian.PutUint16(frame[38:], uint16(8+len(payload)))
	binary.BigEndian.PutUint16(frame[24:], 0)
	binary.BigEndian.PutUint16(frame[24:], lab.Checksum(frame[14:34]))
	return frame
}

// switchOffChecksums makes the kernel write checksums before frames leave by an interface (ethtool -K DEVICE tx off).
func switchOffChecksums(device string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	const setTxChecksum = 0x17 // ETHTOOL_STXCSUM
	value := struct{ command, data uint32 }{setTxChecksum, 0}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&value)}
	copy(request.name[:], device)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	return nil
}
