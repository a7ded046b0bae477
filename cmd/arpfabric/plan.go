package main

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/check"
	"github.com/arpfabric/arpfabric/internal/plan"
	"github.com/arpfabric/arpfabric/internal/show"
	"github.com/spf13/cobra"
)

// printPlan prints what the configuration in a file would change in the running fabric.
func (c *client) printPlan(cmd *cobra.Command, path string) error {
	next, err := config.LoadOnce(path)
	if err != nil {
		return err
	}
	running, err := c.running(cmd.Context())
	if err != nil {
		return err
	}
	return printAnswer(c, cmd.OutOrStdout(), plan.Compare(next, running), (*show.Output).Plan)
}

// printPlanOrMistakes does the same, and prints the mistakes of the file as 'check' does.
func (c *client) printPlanOrMistakes(cmd *cobra.Command, path string) error {
	err := c.printPlan(cmd, path)
	if problems, ok := errors.AsType[config.Problems](err); ok {
		return printChecked(cmd.OutOrStdout(), []check.Result{check.Wrong(path, problems)}, false, c.json)
	}
	return err
}

// running asks the fabric for its networks and all of their bindings.
func (c *client) running(ctx context.Context) (plan.Running, error) {
	status, err := c.connect().Status(ctx)
	if err != nil {
		return plan.Running{}, err
	}
	r := plan.Running{Networks: status.Networks, Bindings: map[string][]api.NetworkBinding{}}
	for _, n := range status.Networks {
		if r.Bindings[n.Name], err = c.connect().AllNetworkBindings(ctx, n.Name, api.BindingQuery{}); err != nil {
			return plan.Running{}, err
		}
	}
	return r, nil
}

// runningFile returns the path of the running fabric's configuration.
func (c *client) runningFile(ctx context.Context) (string, error) {
	status, err := c.connect().Status(ctx)
	if err != nil {
		return "", err
	}
	if path := status.Configuration.Files[0]; filepath.IsAbs(path) {
		return path, nil
	}
	return "", errors.New("the fabric read its configuration from standard input; use 'arpfabric check --against-running FILE'")
}
