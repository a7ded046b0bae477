package api

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"unsafe"

	"github.com/arpfabric/arpfabric/internal/store"
	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"
)

// A peer is the process at the other end of a connection, as it was when it connected (SO_PEERCRED in unix(7)).
type peer struct {
	store.Caller
	groups []uint32
}

// A peerListener accepts connections whose remote address is a peerAddr.
type peerListener struct{ net.Listener }

func (l peerListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if c, ok := conn.(*net.UnixConn); ok {
		return peerConn{conn, peerAddr{conn.RemoteAddr(), peerOf(c)}}, nil
	}
	return conn, nil
}

type peerConn struct {
	net.Conn
	addr peerAddr
}

// RemoteAddr returns the peer. The listeners and servers around this connection pass the address on.
func (c peerConn) RemoteAddr() net.Addr { return c.addr }

type peerAddr struct {
	net.Addr
	peer *peer // nil if the kernel does not tell
}

// peerOf asks the kernel for the peer of a connection. It returns nil if that fails.
func peerOf(conn *net.UnixConn) *peer {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil
	}
	var p *peer
	_ = raw.Control(func(fd uintptr) {
		credentials, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			return
		}
		p = &peer{store.Caller{UID: credentials.Uid, PID: credentials.Pid}, append(peerGroups(fd), credentials.Gid)}
	})
	return p
}

// maxGroups is the number of groups that a process can have (NGROUPS_MAX).
const maxGroups = 65536

// peerGroups returns the supplementary groups of the peer, none if the kernel does not tell (before Linux 4.13).
func peerGroups(fd uintptr) []uint32 {
	buffer := make([]byte, 4*32)
	for {
		size := uint32(len(buffer))
		_, _, err := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&buffer[0])), uintptr(unsafe.Pointer(&size)), 0)
		if err == unix.ERANGE && size <= 4*maxGroups { // the kernel has set the size
			buffer = make([]byte, size)
			continue
		}
		if err != 0 {
			return nil
		}
		var groups []uint32
		for ; size >= 4; size -= 4 {
			groups = append(groups, binary.NativeEndian.Uint32(buffer[size-4:]))
		}
		return groups
	}
}

type peerKey struct{}

// withPeer is the ConnContext of the server.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	if addr, ok := conn.RemoteAddr().(peerAddr); ok && addr.peer != nil {
		return context.WithValue(ctx, peerKey{}, addr.peer)
	}
	return ctx
}

// writers are the callers that may change allocations, and clear violations: root, the fabric's own user, and a group.
type writers struct {
	group string // "" for none
	gid   int

	mu     sync.Mutex
	limits map[uint32]*rate.Limiter // by user
}

// Each user may make this many changes a second, and at most this many at once. The store and the kernel take fewer
// from all users together only on slow disks.
const (
	changesPerSecond = 500
	changesAtOnce    = 1000
)

func newWriters() *writers { return &writers{gid: -1, limits: map[uint32]*rate.Limiter{}} }

// admitGroup lets the members of a group write; "" is for none.
func (s *Server) admitGroup(group string) (err error) {
	s.writers.group = group
	s.writers.gid, err = groupID(group, "api.writers")
	return err
}

// admit returns who asks for a change, or why the change is refused.
func (w *writers) admit(r *http.Request) (store.Caller, *Problem) {
	p, _ := r.Context().Value(peerKey{}).(*peer)
	if p == nil || !w.mayWrite(p) {
		return store.Caller{}, problem(http.StatusForbidden, "only root and arpfabric's own user%s may change allocations or clear violations", w.others())
	}
	if !w.limiter(p.UID).Allow() {
		return p.Caller, problem(http.StatusTooManyRequests,
			"user %d makes more than %d changes a second; try again in a moment", p.UID, changesPerSecond)
	}
	return p.Caller, nil
}

func (w *writers) mayWrite(p *peer) bool {
	return p.UID == 0 || p.UID == uint32(os.Geteuid()) || w.gid >= 0 && slices.Contains(p.groups, uint32(w.gid))
}

func (w *writers) others() string {
	if w.gid < 0 {
		return ", and the group that api.writers would name,"
	}
	return fmt.Sprintf(", and the group %s (api.writers),", w.group)
}

// limiter returns the limiter of a user. There are as many as there are users who may write.
func (w *writers) limiter(uid uint32) *rate.Limiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.limits[uid]
	if l == nil {
		l = rate.NewLimiter(changesPerSecond, changesAtOnce)
		w.limits[uid] = l
	}
	return l
}
