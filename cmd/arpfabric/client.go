package main

import (
	"context"
	"io"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/show"
	"github.com/spf13/cobra"
)

// client has the flags of the commands that use the API of a running fabric.
type client struct {
	socket string
	json   bool
}

func (c *client) addSocketFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.socket, "socket", defaultSocket(), "`PATH` of the running fabric's unix socket")
	cmd.RegisterFlagCompletionFunc("socket", completeFiles)
}

func (c *client) addFlags(cmd *cobra.Command) {
	c.addSocketFlag(cmd)
	cmd.Flags().BoolVar(&c.json, "json", false, "write JSON, which docs/openapi.json describes")
}

func (c *client) connect() *api.Client { return api.NewClient(c.socket) }

// printAnswer writes v as JSON if the user wants JSON, and calls table otherwise.
func printAnswer[T any](c *client, w io.Writer, v T, table func(*show.Output, T) error) error {
	if !c.json {
		return table(show.NewOutput(w), v)
	}
	return writeJSON(w, v)
}

// newQuery makes a command without arguments that calls the API once and prints the answer.
func newQuery[T any](
	use, short, long string, call func(*api.Client, context.Context) (T, error), table func(*show.Output, T) error,
) *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := call(c.connect(), cmd.Context())
			if err != nil {
				return err
			}
			return printAnswer(&c, cmd.OutOrStdout(), v, table)
		},
	}
	c.addFlags(cmd)
	return cmd
}
