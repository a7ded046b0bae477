package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/spf13/cobra"
)

// filterFlags are the flags that select events or violations. Each may be repeated.
type filterFlags struct{ cmd *cobra.Command }

// addFilterFlags adds the flags to cmd. of names what they select.
func (c *client) addFilterFlags(cmd *cobra.Command, of string) filterFlags {
	completions := map[string]cobra.CompletionFunc{
		"network": c.suggest(suggestNetworks), "port": c.suggest(suggestPorts),
		"address": c.suggest(suggestAddresses),
		"reason":  completeWords(reasonWords()), "action": completeWords(actionWords()),
	}
	for _, key := range event.FilterKeys {
		cmd.Flags().StringSlice(key, nil, "show only "+of+" with this "+key+"; may be repeated")
		cmd.RegisterFlagCompletionFunc(key, completions[key])
	}
	return filterFlags{cmd}
}

func (f filterFlags) parse() (event.Filter, error) {
	values := map[string][]string{}
	for _, key := range event.FilterKeys {
		values[key], _ = f.cmd.Flags().GetStringSlice(key)
	}
	filter, err := event.ParseFilter(values)
	if err != nil {
		return filter, usageError{err}
	}
	return filter, nil
}

// checkNetworks returns the networks of the fabric, and an error if it lacks one of a filter.
func checkNetworks(ctx context.Context, c *api.Client, f event.Filter) ([]api.Network, error) {
	status, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	var has []string
	for _, n := range status.Networks {
		has = append(has, n.Name)
	}
	return status.Networks, checkNames("network", f.Networks, has)
}

// checkPorts returns an error if the fabric lacks a port of a filter.
func checkPorts(ctx context.Context, c *api.Client, f event.Filter) error {
	if len(f.Ports) == 0 {
		return nil
	}
	ports, err := c.Ports(ctx)
	if err != nil {
		return err
	}
	var has []string
	for _, p := range ports {
		has = append(has, p.Name)
	}
	slices.Sort(has)
	return checkNames("port", f.Ports, slices.Compact(has))
}

func checkNames(what string, wanted, has []string) error {
	for _, name := range wanted {
		if !slices.Contains(has, name) {
			return usageError{fmt.Errorf("unknown %s %q; there are: %s", what, name, strings.Join(has, ", "))}
		}
	}
	return nil
}
