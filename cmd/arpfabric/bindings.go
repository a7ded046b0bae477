package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/show"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/spf13/cobra"
)

func newBindings() *cobra.Command {
	var c client
	var network, source, mac, name string
	var free bool
	cmd := &cobra.Command{
		Use:   "bindings [--network NAME] [--source SOURCE] [--mac MAC] [--name NAME] [--free]",
		Short: "List the bindings of the running fabric, or the free addresses",
		Long: "List the bindings of all networks by address: those of the configuration, those of the sources that it names,\n" +
			"such as a DHCP server's leases, and those that were allocated ('arpfabric allocate'). ORIGIN is the file and line, or\n" +
			"the revision of an allocation. A binding that is not in force, because an earlier one has its address, is listed with\n" +
			"the reason.\n\n" +
			"With --free, list the addresses that an allocation may get.",
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := bindingQuery(source, mac, name)
			if err == nil && free && q != (api.BindingQuery{}) {
				err = errors.New("--free can't be used with --source, --mac and --name")
			}
			if err != nil {
				return usageError{err}
			}
			networks := []string{network}
			if network == "" {
				status, err := c.connect().Status(cmd.Context())
				if err != nil {
					return err
				}
				networks = networksOf(status)
				if status.Store != nil && !free {
					networks = append(networks, status.Store.OtherNetworks...)
				}
			}
			if free {
				return c.printFree(cmd, networks)
			}
			return c.printBindings(cmd, networks, q)
		},
	}
	c.addFlags(cmd)
	c.addNetworkFlag(cmd, &network, "only bindings of the network `NAME`")
	cmd.Flags().StringVar(&source, "source", "", "only bindings from this `SOURCE`: config, store, or a kind of sources, such as dnsmasq_leases")
	cmd.Flags().StringVar(&mac, "mac", "", "only bindings of this `MAC`")
	cmd.Flags().StringVar(&name, "name", "", "only bindings with this `NAME`")
	cmd.Flags().BoolVar(&free, "free", false, "list the free addresses instead, at most 1000 ranges of each network")
	cmd.RegisterFlagCompletionFunc("source", completeWords(api.Sources()))
	return cmd
}

// bindingQuery makes a query of flags.
func bindingQuery(source, mac, name string) (q api.BindingQuery, err error) {
	q = api.BindingQuery{Source: api.Source(source), Name: name}
	if source != "" && !slices.Contains(api.Sources(), source) {
		return q, fmt.Errorf("unknown source %q; want one of %s", source, strings.Join(api.Sources(), ", "))
	}
	if mac != "" {
		q.MAC, err = registry.ParseMAC(mac)
	}
	return q, err
}

func (c *client) printBindings(cmd *cobra.Command, networks []string, q api.BindingQuery) error {
	all := []api.NetworkBinding{}
	for _, network := range networks {
		some, err := c.connect().AllNetworkBindings(cmd.Context(), network, q)
		if err != nil {
			return err
		}
		all = append(all, some...)
	}
	return printAnswer(c, cmd.OutOrStdout(), all, func(o *show.Output, all []api.NetworkBinding) error {
		return o.NetworkBindings(all, time.Now())
	})
}

// printFree prints the free addresses.
func (c *client) printFree(cmd *cobra.Command, networks []string) error {
	all := []api.FreeRange{}
	for _, network := range networks {
		ranges, err := c.connect().FreeRanges(cmd.Context(), network)
		if err != nil && len(networks) == 1 {
			return err
		}
		if err != nil { // the others have free addresses all the same
			printError(err)
		}
		all = append(all, ranges...)
	}
	return printAnswer(c, cmd.OutOrStdout(), all, (*show.Output).FreeRanges)
}

func newHistory() *cobra.Command {
	var c client
	var network string
	var limit int
	cmd := &cobra.Command{
		Use:   "history [--network NAME] [--limit NUMBER]",
		Short: "Show who allocated and freed addresses, and when",
		Long: "Show the last changes of allocations, the oldest first: the time, the user and the process that asked for the\n" +
			"change, and the owner before and after. BY is empty if an allocation has expired. About the last 100 thousand\n" +
			"changes are kept.",
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > api.MaxPage {
				return usageError{errors.New("--limit takes 1 to 1000")}
			}
			changes, err := c.connect().History(cmd.Context(), network, limit)
			if err != nil {
				return err
			}
			return printAnswer(&c, cmd.OutOrStdout(), changes, (*show.Output).History)
		},
	}
	c.addFlags(cmd)
	c.addNetworkFlag(cmd, &network, "only changes of the network `NAME`")
	cmd.Flags().IntVar(&limit, "limit", 100, "the `NUMBER` of changes, at most 1000")
	return cmd
}
