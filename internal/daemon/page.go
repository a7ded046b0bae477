package daemon

import (
	"context"
	"net"
	"net/http"
	"net/netip"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/page"
)

// An openPage is the page with its open listener.
type openPage struct {
	listener net.Listener
	token    string // "" for none
}

// openPage opens the address of the page, and returns nil if the configuration has none. It only logs an error: guests
// need answers also without the page.
func (d *daemon) openPage(c config.Page) *openPage {
	if c.Listen == "" {
		return nil
	}
	p, err := newPage(c)
	if err != nil {
		d.warnPageUnavailable(c, err)
		return nil
	}
	d.page.Store(&api.Page{URL: pageURL(c.Listen)})
	return p
}

func newPage(c config.Page) (p *openPage, err error) {
	p = &openPage{}
	if c.TokenFile != "" {
		if p.token, err = page.ReadToken(c.TokenFile); err != nil {
			return nil, err
		}
	}
	p.listener, err = net.Listen("tcp", c.Listen)
	return p, err
}

// servePage serves the page until ctx ends. The page asks reader for data.
func (d *daemon) servePage(ctx context.Context, c config.Page, p *openPage, reader http.Handler) {
	if err := page.Serve(ctx, p.listener, p.token, reader, d.log); err != nil {
		d.warnPageUnavailable(c, err)
	}
}

func (d *daemon) warnPageUnavailable(c config.Page, err error) {
	d.page.Store(&api.Page{Error: err.Error()})
	d.log.Warn("page unavailable until the next start", "listen", c.Listen, "error", err)
}

// pageURL returns an address at which a browser on this machine finds the page.
func pageURL(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if addr, bad := netip.ParseAddr(host); err == nil && (host == "" || bad == nil && addr.IsUnspecified()) {
		listen = net.JoinHostPort("localhost", port)
	}
	return "http://" + listen + "/"
}
