package complete

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/responder"
)

// Networks suggests the networks of a fabric.
func Networks(ctx context.Context, c *api.Client, _ string) ([]string, error) {
	status, err := c.Status(ctx)
	var all []string
	for _, n := range status.Networks {
		all = append(all, fmt.Sprintf("%s\t%s on %s", n.Name, n.Mode, n.Attach))
	}
	return all, err
}

// Ports suggests the ports that there are now. One that carries several networks is suggested once.
func Ports(ctx context.Context, c *api.Client, _ string) ([]string, error) {
	ports, err := c.Ports(ctx)
	var names []string
	about := map[string][]string{}
	for _, p := range ports {
		if about[p.Name] == nil {
			names = append(names, p.Name)
		}
		about[p.Name] = append(about[p.Name], string(p.Kind)+" of "+p.Network)
	}
	slices.Sort(names)
	for i, name := range names {
		names[i] = name + "\t" + strings.Join(about[name], ", ")
	}
	return names, err
}

// Addresses suggests addresses with a binding that begin as what is typed already, as many as the fabric tells.
func Addresses(ctx context.Context, c *api.Client, typed string) ([]string, error) {
	bindings, err := c.LookupBeginning(ctx, typed)
	var all []string
	for _, b := range bindings {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s\t%s %s", b.First, b.MAC, b.Name)))
	}
	return all, err
}

// Reasons are the reasons of verdicts.
func Reasons() []string {
	var all []string
	for r := 1; r < responder.NumReasons; r++ {
		all = append(all, responder.Reason(r).String())
	}
	return all
}

// Actions are the actions of verdicts.
func Actions() []string {
	return []string{responder.Drop.String(), responder.Reply.String(), responder.Pass.String()}
}
