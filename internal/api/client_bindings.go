package api

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/arpfabric/arpfabric/internal/allocate"
)

// pathOf returns the path of an operation with its values.
func pathOf(path string, values ...string) string {
	for _, v := range values {
		before, after, _ := strings.Cut(path, "{")
		_, after, _ = strings.Cut(after, "}")
		path = before + url.PathEscape(v) + after
	}
	return path
}

// NetworkBindings returns a page of a network's bindings.
func (c *Client) NetworkBindings(ctx context.Context, network string, q BindingQuery) (BindingPage, error) {
	query := url.Values{}
	for key, value := range map[string]string{"source": string(q.Source), "name": q.Name} {
		if value != "" {
			query.Set(key, value)
		}
	}
	if q.MAC.IsUnicast() {
		query.Set("mac", q.MAC.String())
	}
	if q.After.IsValid() {
		query.Set("after", q.After.String())
	}
	if q.Limit != 0 {
		query.Set("limit", strconv.Itoa(q.Limit))
	}
	return call[BindingPage](ctx, c, request{path: pathOf(pathNetworkBindings, network), query: query})
}

// AllNetworkBindings returns the bindings of all pages.
func (c *Client) AllNetworkBindings(ctx context.Context, network string, q BindingQuery) (all []NetworkBinding, err error) {
	for {
		page, err := c.NetworkBindings(ctx, network, q)
		if err != nil {
			return nil, err
		}
		if all = append(all, page.Bindings...); page.After == "" {
			return all, nil
		}
		if q.After, err = netip.ParseAddr(page.After); err != nil {
			return nil, err
		}
	}
}

// NetworkBinding returns the binding of an address in a network. If there is none, the error is a *[Problem] with the
// status 404.
func (c *Client) NetworkBinding(ctx context.Context, network string, addr netip.Addr) (NetworkBinding, error) {
	return call[NetworkBinding](ctx, c, request{path: pathOf(pathNetworkBinding, network, addr.String())})
}

// FreeRanges returns the addresses that an allocation in a network may get, at most [MaxPage] ranges.
func (c *Client) FreeRanges(ctx context.Context, network string) ([]FreeRange, error) {
	return call[[]FreeRange](ctx, c, request{path: pathOf(pathFree, network)})
}

// Allocate allocates an address of a network.
func (c *Client) Allocate(ctx context.Context, network string, a NewAllocation) (NetworkBinding, error) {
	return call[NetworkBinding](ctx, c, request{
		method: http.MethodPost, path: pathOf(pathNetworkBindings, network), body: encode(a),
	})
}

// PutBinding allocates an address of a network, or changes its allocation, if the precondition is true.
func (c *Client) PutBinding(
	ctx context.Context, network string, addr netip.Addr, a AllocationSettings, p allocate.Precondition,
) (NetworkBinding, error) {
	return call[NetworkBinding](ctx, c, request{
		method: http.MethodPut, path: pathOf(pathNetworkBinding, network, addr.String()), body: encode(a), Precondition: p,
	})
}

// FreeBinding frees an address if its allocation has a revision; 0 is for any.
func (c *Client) FreeBinding(ctx context.Context, network string, addr netip.Addr, revision uint64) (NetworkBinding, error) {
	return call[NetworkBinding](ctx, c, request{
		method: http.MethodDelete, path: pathOf(pathNetworkBinding, network, addr.String()),
		Precondition: allocate.Precondition{Revision: revision},
	})
}

// History returns the last changes of the allocations of a network, or of all for "".
func (c *Client) History(ctx context.Context, network string, limit int) ([]Change, error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if network != "" {
		query.Set("network", network)
	}
	return call[[]Change](ctx, c, request{path: pathHistory, query: query})
}
