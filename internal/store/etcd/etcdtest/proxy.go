package etcdtest

import (
	"io"
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

	mu    sync.Mutex
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
	relay := func(to, from net.Conn) { _, _ = io.Copy(to, from); to.Close() }
	go relay(in, out)
	go relay(out, in)
}

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
