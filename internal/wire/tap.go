package wire

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"
)

// TAP is a [Conn] over a TAP device (tuntap.rst in the kernel's documentation). Read returns the frames that the kernel
// sends out of the device; frames that Write sends arrive at it. If the device is deleted, Read makes it again.
type TAP struct {
	name   string
	closed chan struct{}

	mu     sync.Mutex // held while device is replaced or closed; only Read replaces it
	device *tapDevice
}

// OpenTAP opens a TAP device. If there is no device of that name, OpenTAP makes one, which the kernel deletes when it
// is closed. A persistent device that was there before stays.
func OpenTAP(name string) (*TAP, error) {
	if len(name) >= unix.IFNAMSIZ { // water would truncate the name
		return nil, fmt.Errorf("%q is too long for an interface: at most %d bytes", name, unix.IFNAMSIZ-1)
	}
	device, err := openDevice(name)
	if err != nil {
		return nil, err
	}
	return &TAP{name: name, closed: make(chan struct{}), device: device}, nil
}

// Read implements Conn.
func (t *TAP) Read(batch []Frame) (int, error) {
	n, err := t.device.read(batch)
	if err == nil {
		return n, nil
	}
	return 0, t.reopen(err)
}

// reopen opens the device again after a read has failed. It tries until it succeeds or t is closed.
func (t *TAP) reopen(cause error) error {
	const firstWait, longestWait = 10 * time.Millisecond, time.Second
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		select {
		case <-t.closed:
			return cause
		case <-time.After(wait):
		}
		device, err := openDevice(t.name)
		if err != nil {
			continue
		}
		return t.replace(device)
	}
}

func (t *TAP) replace(device *tapDevice) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.device.file.Close()
	t.device = device
	select {
	case <-t.closed: // while the device was being opened
		return device.file.Close()
	default:
		return nil
	}
}

// Write implements Conn. Several goroutines may call it at once.
func (t *TAP) Write(batch []Frame) (int, error) {
	t.mu.Lock()
	file := t.device.file
	t.mu.Unlock()
	sent := 0
	for _, f := range batch {
		_, err := file.Write(f.Data)
		if errors.Is(err, os.ErrClosed) {
			return sent, err
		}
		if err == nil {
			sent++
		}
	}
	return sent, nil
}

// Lost implements Conn. It returns 0: the kernel counts frames that do not fit into a TAP's queue as tx_dropped of the
// device.
func (t *TAP) Lost() uint64 { return 0 }

// Close implements Conn.
func (t *TAP) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.closed:
		return nil
	default:
		close(t.closed)
		return t.device.file.Close()
	}
}

// tapDevice is an open device. A TAP has one after the other.
type tapDevice struct {
	file    *os.File
	conn    syscall.RawConn
	ifindex int
	buffers [MaxBatch][]byte

	batch   []Frame
	n       int
	failure error
	attempt func(fd uintptr) bool // made once, so that read allocates no closure
}

func openDevice(name string) (*tapDevice, error) {
	file, err := openTUN(name)
	if err != nil {
		return nil, err
	}
	d := &tapDevice{file: file}
	if err := d.setUp(name); err != nil {
		file.Close()
		return nil, err
	}
	return d, nil
}

func (d *tapDevice) setUp(name string) error {
	dev, err := net.InterfaceByName(name)
	if err != nil {
		return fmt.Errorf("looking for the TAP device %s that was just opened: %w", name, err)
	}
	d.ifindex = dev.Index
	d.conn, err = d.file.SyscallConn()
	for i := range d.buffers {
		d.buffers[i] = make([]byte, SnapLen)
	}
	d.attempt = d.tryRead
	return err
}

func (d *tapDevice) read(batch []Frame) (int, error) {
	d.batch = batch[:min(len(batch), MaxBatch)]
	if err := d.conn.Read(d.attempt); err != nil {
		return 0, err
	}
	return d.n, d.failure
}

// tryRead reads frames, one a system call, until there are no more or the batch is full. It reports whether it is done:
// false makes the runtime wait until the device is readable.
func (d *tapDevice) tryRead(fd uintptr) bool {
	d.n, d.failure = 0, nil
	for d.n < len(d.batch) {
		n, err := unix.Read(int(fd), d.buffers[d.n])
		switch err {
		case nil:
			d.batch[d.n] = Frame{Port: d.ifindex, Data: d.buffers[d.n][:n]}
			d.n++
		case unix.EINTR:
		case unix.EAGAIN:
			return d.n > 0
		default:
			d.failure = os.NewSyscallError("read", err)
			return true
		}
	}
	return true
}

// opening serializes openTUN, so that one call does not close the descriptor of another.
var opening sync.Mutex

// openTUN opens a device by package water.
func openTUN(name string) (*os.File, error) {
	opening.Lock()
	defer opening.Unlock()
	before := tunDescriptors()
	_, err := net.InterfaceByName(name)
	existed := err == nil

	// Without Persist, water would make a persistent device that was there before go away when it is closed.
	device, err := water.New(water.Config{
		DeviceType:             water.TAP,
		PlatformSpecificParams: water.PlatformSpecificParams{Name: name, Persist: existed},
	})
	if err != nil {
		// water does not close the descriptor if it fails after it has opened it.
		for fd := range tunDescriptors() {
			if !before[fd] {
				unix.Close(fd)
			}
		}
		return nil, tapError(name, err)
	}
	return device.ReadWriteCloser.(*os.File), nil
}

func tapError(name string, err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("the TAP device %s is in use by another program: %w", name, err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("the interface %s exists and is not a TAP device; use another name: %w", name, err)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV):
		return fmt.Errorf("/dev/net/tun is missing; load it with 'modprobe tun', or give the container the device: %w", err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("opening the TAP device %s: not permitted; needs /dev/net/tun and CAP_NET_ADMIN: %w", name, err)
	}
	return fmt.Errorf("opening the TAP device %s: %w", name, err)
}

// tunDescriptors returns this process's descriptors of /dev/net/tun.
func tunDescriptors() map[int]bool {
	found := map[int]bool{}
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		var fd int
		if target, err := os.Readlink(link); err != nil || target != "/dev/net/tun" {
			continue
		}
		if _, err := fmt.Sscan(filepath.Base(link), &fd); err == nil {
			found[fd] = true
		}
	}
	return found
}
