package fabric_test

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"unsafe"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
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

// A virtualMachine is a guest that sends by a TAP with offloads, as QEMU does for virtio-net.
type virtualMachine struct {
	tap  int
	mac  net.HardwareAddr
	addr netip.Addr
}

// addVM makes a TAP that is a member of br0, until the test ends.
func addVM(t *testing.T, port string, mac net.HardwareAddr, addr netip.Addr) *virtualMachine {
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
	sent = patched(ipv6(to.MAC, vm.mac), etherTypeAt, 0x08, 0x00)
	copy(sent[14+12:], slices.Concat(vm.addr.AsSlice(), to.Addr.Addr().AsSlice()))
	sent[14+3] = number // in the flow label
	last := sent[len(sent)-2:]
	const ipv6 = 0x86dd
	// A checksum is the complement of the sum in one's complement, so the last two bytes are what is missing for it.
	sum := uint32(0)
	for i := etherTypeAt; i < len(sent); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(sent[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	missing := (uint32(^uint16(ipv6)) + 0xffff - sum) % 0xffff
	binary.BigEndian.PutUint16(last, uint16(missing))
	return sent, patched(sent, etherTypeAt, 0x86, 0xdd)
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
