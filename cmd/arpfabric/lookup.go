package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/show"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/spf13/cobra"
)

func newLookup() *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use:   "lookup IP|MAC|NAME",
		Short: "Show the binding of an address, or the bindings of a MAC or with a name",
		Long: "Show the binding of an address in each network of the running fabric, or the bindings of a MAC or with a name,\n" +
			"at most 1000. Each binding has the file and the line that define it, or the revision of the store if it was\n" +
			"allocated. It exits with 1 if there is no binding.",
		Args:              takes("IP|MAC|NAME"),
		ValidArgsFunction: completeOnce(c.suggest(suggestAddresses)),
		RunE: func(cmd *cobra.Command, args []string) error {
			bindings, err := lookup(cmd.Context(), c.connect(), args[0])
			if err != nil {
				return err
			}
			if len(bindings) == 0 && !c.json {
				return fmt.Errorf("%s has no binding in any network", args[0])
			}
			if err := printAnswer(&c, cmd.OutOrStdout(), bindings, func(o *show.Output, b []api.Binding) error {
				return o.Bindings(b, time.Now())
			}); err != nil {
				return err
			}
			switch len(bindings) {
			case 0:
				return exitCode(exitNo)
			case api.MaxBindings:
				return c.reportLimit(cmd)
			}
			return nil
		},
	}
	c.addFlags(cmd)
	return cmd
}

// reportLimit tells the user that the table may not have all bindings, or, on standard error, that the JSON may not.
func (c *client) reportLimit(cmd *cobra.Command) error {
	out := cmd.OutOrStdout()
	if c.json {
		out = cmd.ErrOrStderr()
	}
	return show.NewOutput(out).Line(fmt.Sprintf("only the first %d bindings are shown; look up an address to see another one",
		api.MaxBindings))
}

func lookup(ctx context.Context, c *api.Client, text string) ([]api.Binding, error) {
	addr, notAddr := netip.ParseAddr(text)
	mac, notMAC := net.ParseMAC(text)
	switch {
	case notAddr == nil && addr.Is4():
		return c.LookupAddress(ctx, addr)
	case notMAC == nil && len(mac) == len(registry.MAC{}):
		return c.LookupMAC(ctx, registry.MAC(mac))
	case looksLikeAddress(text):
		return nil, usageError{fmt.Errorf("%q is not an IPv4 address; look up one address, without a prefix length", text)}
	case notAddr == nil || notMAC == nil || text == "":
		return nil, usageError{fmt.Errorf("%q is neither an IPv4 address, nor a MAC of six bytes, nor a name", text)}
	}
	return c.LookupName(ctx, text)
}

// looksLikeAddress reports whether a text can be no name, but was meant as an address: four numbers and dots, or a prefix.
func looksLikeAddress(text string) bool {
	address, _, _ := strings.Cut(text, "/")
	return strings.Count(address, ".") == 3 && strings.Trim(address, "0123456789.") == "" || strings.Contains(text, "/")
}
