package wire

import "github.com/arpfabric/arpfabric/internal/wire/mmsg"

// Frame is one Ethernet frame without its checksum.
type Frame struct {
	Port int    // ifindex of the ingress interface when read, of the egress interface when written
	Data []byte // the bytes from the Ethernet header on, with VLAN tags; a frame that was read is cut after SnapLen bytes

	// FromHost means that the host's own stack sent the frame, out of Port. A frame that the bridge floods is read once
	// for each port.
	FromHost bool

	// IsAnswered means that the datapath has answered the frame itself. It is read to be shown.
	IsAnswered bool

	// OnlyLocates means that the datapath handles the frame itself. It is read because it shows behind which port its
	// source is.
	OnlyLocates bool
}

// Conn carries frames between the kernel and the fabric. One goroutine may call Read while another calls Write.
type Conn interface {
	// Read waits for frames and writes them to batch, from its start. It returns their number, which may be 0.
	// Their Data is valid until the next Read. Read returns an error after Close, and if the device that it reads
	// from cannot be opened again.
	Read(batch []Frame) (int, error)

	// Write sends each frame of batch out of its port and returns how many left. If a port is down or gone, Write
	// skips its frames and returns no error.
	Write(batch []Frame) (int, error)

	// Lost returns how many times the kernel has dropped frames, since the Conn was opened, because they were not
	// read in time.
	Lost() uint64

	// Close makes a waiting Read return.
	Close() error
}

// SnapLen is how much of a frame is read, in bytes. An ARP packet with its Ethernet header and a few tags has about 60.
const SnapLen = 256

// MaxBatch is the most frames that one Read returns or one system call sends.
const MaxBatch = mmsg.MaxBatch

// receiveBuffer is the size of a socket's receive buffer, in bytes. It holds about ten thousand frames while the fabric
// is busy.
const receiveBuffer = 16 << 20
