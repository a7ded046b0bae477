package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/responder"
)

// suggestNetworks returns the networks of a fabric, each with a description behind a tab, as cobra expects.
func suggestNetworks(ctx context.Context, c *api.Client, _ string) ([]string, error) {
	status, err := c.Status(ctx)
	var all []string
	for _, n := range status.Networks {
		all = append(all, fmt.Sprintf("%s\t%s on %s", n.Name, n.Mode, n.Attach))
	}
	return all, err
}

// suggestPorts returns the current ports. A port that belongs to several networks is returned once.
func suggestPorts(ctx context.Context, c *api.Client, _ string) ([]string, error) {
	ports, err := c.Ports(ctx)
	var names []string
	descriptions := map[string][]string{}
	for _, p := range ports {
		if descriptions[p.Name] == nil {
			names = append(names, p.Name)
		}
		descriptions[p.Name] = append(descriptions[p.Name], string(p.Kind)+" of "+p.Network)
	}
	slices.Sort(names)
	for i, name := range names {
		names[i] = name + "\t" + strings.Join(descriptions[name], ", ")
	}
	return names, err
}

// suggestAddresses returns addresses with a binding that begin with the typed text, at most 100.
func suggestAddresses(ctx context.Context, c *api.Client, typed string) ([]string, error) {
	bindings, err := c.LookupTextPrefix(ctx, typed)
	var all []string
	for _, b := range bindings {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s\t%s %s", b.First, b.MAC, b.Name)))
	}
	return all, err
}

// reasonWords returns the reasons of verdicts.
func reasonWords() []string {
	var all []string
	for r := range responder.Reasons() {
		all = append(all, r.String())
	}
	return all
}

// actionWords returns the actions of verdicts.
func actionWords() []string {
	return []string{responder.Drop.String(), responder.Reply.String(), responder.Pass.String()}
}
