package cni

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/internal/allocate"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/containernetworking/cni/pkg/types"
)

func (p *plugin) owner() owner { return owner{p.scope, p.args.ContainerID, p.args.IfName} }

// networkIn returns the fabric's network in a status.
func (p *plugin) networkIn(s api.Status) (api.Network, *types.Error) {
	at := slices.IndexFunc(s.Networks, func(n api.Network) bool { return n.Name == p.Network })
	if at < 0 {
		return api.Network{}, types.NewError(types.ErrInvalidNetworkConfig, "arpfabric has no network "+p.Network,
			"add it to the configuration of arpfabric, or set the plugin's key network")
	}
	return s.Networks[at], nil
}

// portTimeout is how long a port may take to be guarded.
const portTimeout = 30 * time.Second

// awaitPort waits until the fabric guards a port of its network. If port is "", it waits for the network.
func (p *plugin) awaitPort(ctx context.Context, port string) error {
	waiting, cancel := context.WithTimeout(ctx, portTimeout)
	defer cancel()
	for {
		cause, err := p.notGuarded(ctx, port)
		if err != nil || cause == "" {
			return err
		}
		select {
		case <-waiting.Done():
			return types.NewError(types.ErrTryAgainLater, "the container's port in network "+p.Network+" is not guarded", cause)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// notGuarded says why a port is not guarded, or returns "".
func (p *plugin) notGuarded(ctx context.Context, port string) (cause string, err error) {
	status, err := p.client.Status(ctx)
	if err != nil {
		return "", failure("asking for the network", err)
	}
	n, failed := p.networkIn(status)
	if failed != nil {
		return "", failed
	}
	if n.WaitsFor != "" || port == "" {
		return n.WaitsFor, nil
	}
	ports, err := p.client.Ports(ctx)
	if err != nil {
		return "", failure("asking for the ports", err)
	}
	if slices.ContainsFunc(ports, func(one api.Port) bool { return one.Network == p.Network && one.Name == port }) {
		return "", nil
	}
	return fmt.Sprintf("%s is no port of the network, which is attached to %s", port, n.Attach), nil
}

// register puts the bindings of a container in force, and those of its gateways on the host.
func (p *plugin) register(ctx context.Context, prev *previous) error {
	for n, addr := range prev.addrs {
		want := api.AllocationSettings{MAC: prev.mac.String(), Port: prev.port, Name: p.owner().name(n)}
		if err := p.put(ctx, addr, want); err != nil {
			return err
		}
	}
	for _, h := range prev.hosts {
		want := api.AllocationSettings{MAC: h.mac.String(), Name: p.scope.prefix() + gatewayID}
		if err := p.put(ctx, h.addr, want); err != nil {
			return err
		}
	}
	return nil
}

// put makes the binding of an address as it is wanted. Whoever chose the address knows that it is free on this host, so an
// allocation for another container of the same scope is left over from one that was never deleted. All others stay.
func (p *plugin) put(ctx context.Context, addr netip.Addr, want api.AllocationSettings) error {
	expected := allocate.Precondition{Absent: true}
	b, err := p.client.NetworkBinding(ctx, p.Network, addr)
	switch _, isOurs := p.scope.idOf(b.Name); {
	case isMissing(err):
	case err != nil:
		return failure("asking for the binding of "+addr.String(), err)
	case b.Source != api.FromStore && b.MAC == want.MAC && (b.Port == "" || b.Port == want.Port):
		return nil
	case isOurs:
		expected = allocate.Precondition{Revision: b.Revision}
	default:
		return types.NewError(errRefused, addr.String()+" is bound already", fmt.Sprintf("to %s %s (%s); choose other addresses in "+
			"the configuration of the IPAM plugin, or free it", b.MAC, b.Name, b.Origin))
	}
	if _, err := p.client.PutBinding(ctx, p.Network, addr, want, expected); err != nil {
		return failure("registering "+addr.String(), err)
	}
	return nil
}

// giveAddress allocates an address for a container that has none, and sets it in the container.
func (p *plugin) giveAddress(ctx context.Context, prev *previous) error {
	status, err := p.client.Status(ctx)
	if err != nil {
		return failure("asking for the network", err)
	}
	n, failed := p.networkIn(status)
	if failed != nil {
		return failed
	}
	subnet, err := netip.ParsePrefix(n.Subnet)
	if err != nil {
		return types.NewError(types.ErrInvalidNetworkConfig, "the network "+p.Network+" has no subnet",
			"set subnet in the configuration of arpfabric, or have an IPAM plugin choose addresses")
	}
	gateway, _ := netip.ParseAddr(n.Gateway) // it may have none
	b, err := p.allocate(ctx, api.AllocationSettings{MAC: prev.mac.String(), Port: prev.port, Name: p.owner().name(0)})
	if err != nil {
		return err
	}
	addr := netip.PrefixFrom(b.First, subnet.Bits())
	if err := setAddress(p.args.Netns, p.args.IfName, addr, gateway); err != nil {
		return types.NewError(types.ErrInternal, "setting the container's address "+addr.String(), err.Error())
	}
	prev.add(addr, gateway)
	return nil
}

// allocate returns the allocation with a name. An earlier call may have made it.
func (p *plugin) allocate(ctx context.Context, want api.AllocationSettings) (api.NetworkBinding, error) {
	found, err := p.named(ctx, want.Name)
	if err != nil {
		return api.NetworkBinding{}, err
	}
	if found != nil {
		return *found, p.put(ctx, found.First, want)
	}
	b, err := p.client.Allocate(ctx, p.Network, api.NewAllocation{AllocationSettings: want})
	if err != nil {
		return b, failure("allocating an address", err)
	}
	return b, nil
}

// named returns the allocation with a name, or nil. A network that is gone has none.
func (p *plugin) named(ctx context.Context, name string) (*api.NetworkBinding, error) {
	page, err := p.client.NetworkBindings(ctx, p.Network, api.BindingQuery{Source: api.FromStore, Name: name})
	switch {
	case isMissing(err):
		return nil, nil
	case err != nil:
		return nil, failure("asking for the allocation "+name, err)
	case len(page.Bindings) == 0:
		return nil, nil
	}
	return &page.Bindings[0], nil
}

// free frees an allocation, unless somebody has freed it or changed it meanwhile.
func (p *plugin) free(ctx context.Context, b api.NetworkBinding) error {
	_, err := p.client.FreeBinding(ctx, p.Network, b.First, b.Revision)
	problem, _ := errors.AsType[*api.Problem](err)
	if err == nil || isMissing(err) || problem != nil && problem.Status == http.StatusPreconditionFailed {
		return nil
	}
	return failure("freeing "+b.First.String(), err)
}
