package wire

// Frame is one Ethernet frame without its checksum.
type Frame struct {
	Port int    // the interface it came in by, or is to leave by, as an ifindex
	Data []byte // as it was on the wire, VLAN tags included; cut after SnapLen bytes

	// FromHost says that the frame came from the host's own stack and was on its way out of Port. A
	// frame that floods comes once for each port.
	FromHost bool
}

// Conn carries frames between an attachment and the fabric. One goroutine may Read while another Writes.
type Conn interface {
	// Read waits for frames and fills batch from its start with those that are there. It returns their
	// number, which may be 0. Their Data stays valid until the next Read. After Close, and
	// when the device it reads from is gone for good, it returns an error.
	Read(batch []Frame) (int, error)

	// Write sends every frame of batch out of its port and returns how many left. A port that is down
	// or gone does not keep the others from leaving and is no error.
	Write(batch []Frame) (int, error)

	// Lost returns how often since the Conn was opened the kernel had to throw frames away because
	// they were not read in time.
	Lost() uint64

	// Close ends a Read that waits.
	Close() error
}

// SnapLen is how much of a frame is read, in bytes. An ARP packet with its header and a few tags is 60.
const SnapLen = 256

// MaxBatch is the most frames that one Read returns or one system call sends.
const MaxBatch = 64

// receiveBuffer is what a socket may hold while the fabric is busy, in bytes: some ten thousand frames.
const receiveBuffer = 16 << 20
