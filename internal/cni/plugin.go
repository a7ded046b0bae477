package cni

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
)

// Commands are the commands of the plugin.
var Commands = skel.CNIFuncs{
	Add:    command((*plugin).add),
	Del:    command((*plugin).del),
	Check:  command((*plugin).check),
	GC:     command((*plugin).gc),
	Status: command((*plugin).status),
}

// Versions are those of the specification that the plugin supports: the first one that tells a plugin the result of
// the plugin before, and later ones.
var Versions = version.VersionsStartingFrom("0.3.1")

// settings are the plugin's part of a network's configuration.
type settings struct {
	types.PluginConf
	Network string `json:"network"` // of the fabric; the network's name in CNI if it is empty
	Socket  string `json:"socket"`  // of the fabric's API; the default one if it is empty
}

// A plugin runs one command.
type plugin struct {
	settings
	args   *skel.CmdArgs
	client *api.Client
	scope  scope
}

// command returns a command as package skel calls it.
func command(run func(*plugin, context.Context) error) func(*skel.CmdArgs) error {
	return func(args *skel.CmdArgs) error {
		p := &plugin{args: args}
		if err := json.Unmarshal(args.StdinData, &p.settings); err != nil {
			return types.NewError(types.ErrDecodingFailure, "reading the configuration of the plugin", err.Error())
		}
		if p.Network == "" {
			p.Network = p.Name
		}
		if p.Socket == "" {
			p.Socket = config.DefaultSocket
		}
		host, err := os.Hostname()
		if err != nil {
			return types.NewError(types.ErrInternal, "reading the name of the host", err.Error())
		}
		p.client, p.scope = api.NewClient(p.Socket), scope{host, p.Name}
		return run(p, context.Background())
	}
}

// add registers a container.
func (p *plugin) add(ctx context.Context) error {
	prev, err := p.previous()
	if err != nil {
		return err
	}
	// A network that waits for its bridge allocates nothing. Besides, a container must not send before its port is guarded.
	if err := p.awaitPort(ctx, prev.port); err != nil {
		return err
	}
	if len(prev.addrs) == 0 {
		err = p.giveAddress(ctx, prev)
	} else {
		err = p.register(ctx, prev)
	}
	if err != nil {
		return err
	}
	return types.PrintResult(prev.result, p.CNIVersion)
}

// del frees what was allocated for a container. It succeeds if that is not there any more.
func (p *plugin) del(ctx context.Context) error {
	for n := 0; ; n++ {
		found, err := p.named(ctx, p.owner().name(n))
		if err != nil || found == nil {
			return err
		}
		if err := p.free(ctx, *found); err != nil {
			return err
		}
	}
}

// check compares the container with what the fabric knows.
func (p *plugin) check(ctx context.Context) error {
	prev, err := p.previous()
	if err != nil {
		return err
	}
	if err := p.awaitPort(ctx, prev.port); err != nil {
		return err
	}
	for _, addr := range prev.addrs {
		b, err := p.client.NetworkBinding(ctx, p.Network, addr)
		if err != nil {
			return failure("asking for the binding of "+addr.String(), err)
		}
		if text := prev.differs(b); text != "" {
			return types.NewError(errMismatch, fmt.Sprintf("the binding of %s in network %s is not that of the container", addr, p.Network), text)
		}
	}
	return nil
}

// gc frees what was allocated for containers that are not there any more.
func (p *plugin) gc(ctx context.Context) error {
	valid := map[string]bool{gatewayID: true}
	for _, a := range p.ValidAttachments {
		valid[owner{p.scope, a.ContainerID, a.IfName}.id()] = true
	}
	all, err := p.client.AllNetworkBindings(ctx, p.Network, api.BindingQuery{Source: api.FromStore})
	if err != nil && !isMissing(err) {
		return failure("listing the allocations", err)
	}
	for _, b := range all {
		if id, ok := p.scope.idOf(b.Name); ok && !valid[id] {
			if err := p.free(ctx, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// status reports whether containers can be added. A network that waits is no failure: the first container may bring its
// bridge.
func (p *plugin) status(ctx context.Context) error {
	s, err := p.client.Status(ctx)
	if err != nil {
		return types.NewError(types.ErrLimitedConnectivity, "arpfabric does not answer", err.Error())
	}
	if _, err := p.networkIn(s); err != nil {
		return types.NewError(types.ErrPluginNotAvailable, err.Msg, err.Details)
	}
	return nil
}
