package etcdtest

import (
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

// A Proxy is a host's way to one member of a cluster, which can be cut.
type Proxy struct {
	Endpoint string // its URL
	target   string

	gate  sync.RWMutex // Stall holds it
	mu    sync.Mutex   // guards the fields below
	isCut bool
	conns []net.Conn
}

// NewProxy returns a proxy to the member with a URL.
func NewProxy(t testing.TB, endpoint string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	labtest.Must(t, err)
	p := &Proxy{Endpoint: "http://" + l.Addr().String(), target: strings.TrimPrefix(endpoint, "http://")}
	t.Cleanup(func() { l.Close(); p.Cut() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.serve(conn)
		}
	}()
	return p
}

func (p *Proxy) serve(in net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out, err := net.Dial("tcp", p.target)
	if err != nil || p.isCut {
		in.Close()
		return
	}
	p.conns = append(p.conns, in, out)
	go p.relay(in, out)
	go p.relay(out, in)
}

func (p *Proxy) relay(to, from net.Conn) {
	defer to.Close()
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		p.gate.RLock()
		_, failed := to.Write(buf[:n])
		p.gate.RUnlock()
		if err != nil || failed != nil {
			return
		}
	}
}

// Stall lets nothing through, until Resume. The connections stay.
func (p *Proxy) Stall() { p.gate.Lock() }

// Resume undoes Stall.
func (p *Proxy) Resume() { p.gate.Unlock() }

// Cut closes all connections, and lets no others be made.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isCut = true
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// Mend undoes Cut.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isCut = false
}
