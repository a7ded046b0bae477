package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/complete"
	"github.com/arpfabric/arpfabric/internal/show"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/spf13/cobra"
)

func newLookup() *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "lookup IP|MAC",
		Short: "Show who has an address, or what a MAC has",
		Long: "Show the binding that each network of the running fabric has for an address, or all bindings of a MAC, with the\n" +
			"line of the file that they are written in. It exits with 1 if there is none.",
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: completeOnce(c.suggest(complete.Addresses)),
		RunE: func(cmd *cobra.Command, args []string) error {
			bindings, err := lookup(cmd.Context(), c.connect(), args[0])
			if err != nil {
				return err
			}
			if len(bindings) == 0 && !c.json {
				return fmt.Errorf("%s has no binding in any network", args[0])
			}
			if err := present(&c, cmd.OutOrStdout(), bindings, (*show.Output).Bindings); err != nil {
				return err
			}
			switch len(bindings) {
			case 0:
				return exitCode(exitNo)
			case api.MostBindings:
				return c.sayCut(cmd)
			}
			return nil
		},
	}
	c.addFlags(cmd)
	return cmd
}

// sayCut says that there may be more bindings than the table has, or, on standard error, than JSON has.
func (c *client) sayCut(cmd *cobra.Command) error {
	out := cmd.OutOrStdout()
	if c.json {
		out = cmd.ErrOrStderr()
	}
	return show.To(out).Line(fmt.Sprintf("no more than %d are shown, and there may be more; ask for one by its address",
		api.MostBindings))
}

func lookup(ctx context.Context, c *api.Client, what string) ([]api.Binding, error) {
	if addr, err := netip.ParseAddr(what); err == nil && addr.Is4() {
		return c.LookupAddress(ctx, addr)
	}
	mac, err := net.ParseMAC(what)
	if err != nil || len(mac) != len(responder.MAC{}) {
		return nil, usageError{fmt.Errorf("%q is neither an IPv4 address nor a MAC", what)}
	}
	return c.LookupMAC(ctx, responder.MAC(mac))
}
