package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/allocate"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/show"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/spf13/cobra"
)

func newAllocate() *cobra.Command {
	var c client
	var network string
	var ttl time.Duration
	var replace bool
	var a api.NewAllocation
	cmd := &cobra.Command{
		Use: "allocate [--network NAME] [--address ADDRESS | --from RANGE] [--mac MAC] [--name NAME] [--port PORT] " +
			"[--ttl DURATION] [--replace]",
		Short: "Give a guest an address while the fabric runs",
		Long: "Bind the next free address of a network, or a given one, to a MAC, which is made if none is given. When the\n" +
			"command ends, the address is kept on disk, answered and guarded. A restart and a reload keep it.\n\n" +
			"The addresses of the configuration, its gateway and allocation.reserved are never given, nor is an address that\n" +
			"was freed a short while ago. 'arpfabric free' takes the address back, and --ttl does so by itself.\n\n" +
			"With --replace, an address that is allocated already gets the MAC, name, port and expiry that are given, and keeps\n" +
			"its MAC if none is. So the command may be repeated.\n\n" +
			"It needs root, the user of arpfabric, or a member of the group that api.writers names.",
		Example: "  arpfabric allocate --name web\n  arpfabric allocate --network lab --address 10.239.0.110 --mac 02:00:0a:de:54:a8 --port vnet5\n" +
			"  arpfabric allocate --from 10.239.0.128/26 --ttl 2h --json",
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("ttl") {
				a.TTL = ttl.String()
			}
			if err := checkAllocation(a, replace); err != nil {
				return usageError{err}
			}
			name, err := c.chooseNetwork(cmd.Context(), network)
			if err != nil {
				return err
			}
			b, err := c.allocate(cmd.Context(), name, a, replace)
			if err != nil {
				return err
			}
			return printAnswer(&c, cmd.OutOrStdout(), b, func(o *show.Output, b api.NetworkBinding) error {
				return o.NetworkBindings([]api.NetworkBinding{b}, time.Now())
			})
		},
	}
	c.addFlags(cmd)
	c.addNetworkFlag(cmd, &network, "`NAME` of the network; not needed if there is only one")
	cmd.Flags().StringVar(&a.Address, "address", "", "allocate this `ADDRESS`, not the next free one")
	cmd.Flags().StringVar(&a.From, "from", "", "take the address from this `RANGE`, such as 10.239.0.16-10.239.0.31, or a prefix")
	cmd.Flags().StringVar(&a.MAC, "mac", "", "`MAC` of the guest; one is made if there is none")
	cmd.Flags().StringVar(&a.Name, "name", "", "`NAME` of the guest, unique among the allocations of the network")
	cmd.Flags().StringVar(&a.Port, "port", "", "`PORT` of the bridge that the guest may send from; any if there is none")
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "free the address after this `DURATION`, such as 90s, 30m or 24h; never if there is none")
	cmd.Flags().BoolVar(&replace, "replace", false, "change the allocation of the --address, if there is one")
	cmd.RegisterFlagCompletionFunc("port", c.suggest(suggestPorts))
	return cmd
}

// checkAllocation returns an error if the flags are wrong, whatever the fabric is.
func checkAllocation(a api.NewAllocation, replace bool) error {
	if replace && a.Address == "" {
		return errors.New("--replace needs --address")
	}
	if a.Address != "" && a.From != "" {
		return errors.New("give either --address or --from")
	}
	if addr, err := netip.ParseAddr(a.Address); a.Address != "" && (err != nil || !addr.Is4()) {
		return fmt.Errorf("--address takes an IPv4 address, not %q", a.Address)
	}
	if _, err := config.ParseRange(a.From); a.From != "" && err != nil {
		return fmt.Errorf("--from takes a range, such as 10.239.0.16-10.239.0.31, or a prefix: %w", err)
	}
	if _, err := registry.ParseMAC(a.MAC); a.MAC != "" && err != nil {
		return fmt.Errorf("--mac takes a MAC, such as 02:00:0a:de:54:a8, not %q", a.MAC)
	}
	if ttl, err := time.ParseDuration(a.TTL); a.TTL != "" && (err != nil || ttl <= 0) {
		return fmt.Errorf("--ttl takes a duration longer than 0, such as 90s, 30m or 24h, not %s", a.TTL)
	}
	return nil
}

// allocate allocates an address, or changes its allocation if replace is true.
func (c *client) allocate(ctx context.Context, network string, a api.NewAllocation, replace bool) (b api.NetworkBinding, err error) {
	if !replace {
		return c.connect().Allocate(ctx, network, a)
	}
	addr, err := netip.ParseAddr(a.Address)
	if err != nil {
		return b, err
	}
	return c.connect().PutBinding(ctx, network, addr, a.AllocationSettings, allocate.Precondition{})
}

func newFree() *cobra.Command {
	var c client
	var network string
	cmd := &cobra.Command{
		Use:   "free ADDRESS|NAME",
		Short: "Take an allocated address back, and cut its guest off",
		Long: "Free an address that was allocated by 'arpfabric allocate' or the API, by the address or by the name of its\n" +
			"guest. When the command ends, nobody gets an answer for it, and the guest can't send from it. For a while\n" +
			"(allocation.hold) it is given to nobody else. Bindings of the configuration can't be freed: edit the file.\n\n" +
			"It has nothing to do with 'arpfabric release', which removes the guard of a fabric that has stopped.\n\n" +
			"It needs root, the user of arpfabric, or a member of the group that api.writers names.",
		Args:              takes("ADDRESS|NAME"),
		ValidArgsFunction: completeOnce(c.suggest(suggestAddresses)),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := c.free(cmd.Context(), network, args[0])
			if err != nil {
				return err
			}
			return printAnswer(&c, cmd.OutOrStdout(), b, func(o *show.Output, b api.NetworkBinding) error {
				return o.Line(fmt.Sprintf("freed %s of network %s, which %s had", b.First, b.Network, strings.TrimSpace(b.MAC+" "+b.Name)))
			})
		},
	}
	c.addFlags(cmd)
	c.addNetworkFlag(cmd, &network, "`NAME` of the network; not needed if there is only one")
	return cmd
}

// free frees the allocation of an address or with a name.
func (c *client) free(ctx context.Context, network, text string) (b api.NetworkBinding, err error) {
	if network, err = c.chooseNetwork(ctx, network); err != nil {
		return b, err
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		return c.connect().FreeBinding(ctx, network, addr, 0)
	}
	page, err := c.connect().NetworkBindings(ctx, network, api.BindingQuery{Source: api.FromStore, Name: text})
	if err != nil {
		return b, err
	}
	if len(page.Bindings) == 0 {
		return b, fmt.Errorf("no allocation of network %s has the name %s", network, text)
	}
	// If somebody frees the name and allocates the address to another guest meanwhile, that guest keeps it.
	return c.connect().FreeBinding(ctx, network, page.Bindings[0].First, page.Bindings[0].Revision)
}

func (c *client) addNetworkFlag(cmd *cobra.Command, network *string, meaning string) {
	cmd.Flags().StringVar(network, "network", "", meaning)
	cmd.RegisterFlagCompletionFunc("network", c.suggest(suggestNetworks))
}

// chooseNetwork returns the network that the user has named, or the only one.
func (c *client) chooseNetwork(ctx context.Context, named string) (string, error) {
	if named != "" {
		return named, nil
	}
	names, err := c.networks(ctx)
	if err != nil {
		return "", err
	}
	if len(names) != 1 {
		return "", usageError{fmt.Errorf("there are several networks; name one with --network: %s", strings.Join(names, ", "))}
	}
	return names[0], nil
}

// networks returns the names of the fabric's networks.
func (c *client) networks(ctx context.Context) ([]string, error) {
	status, err := c.connect().Status(ctx)
	return networksOf(status), err
}

func networksOf(s api.Status) (names []string) {
	for _, n := range s.Networks {
		names = append(names, n.Name)
	}
	return names
}
