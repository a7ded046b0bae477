package main

import (
	"context"
	"encoding/json"
	"io"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/show"
	"github.com/spf13/cobra"
)

// client is how the commands that ask a running fabric find it, and how they write what it says.
type client struct {
	socket string
	json   bool
}

func (c *client) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.socket, "socket", config.DefaultSocket, "`PATH` of the running fabric's unix socket")
	cmd.RegisterFlagCompletionFunc("socket", completeFiles)
	cmd.Flags().BoolVar(&c.json, "json", false, "write JSON, as docs/openapi.json describes it")
}

func (c *client) connect() *api.Client { return api.NewClient(c.socket) }

// present writes v as JSON if that is wanted, else the table that is made of it.
func present[T any](c *client, w io.Writer, v T, table func(*show.Output, T) error) error {
	if !c.json {
		return table(show.To(w), v)
	}
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false) // frames have a > in them
	return out.Encode(v)
}

// query makes a command without arguments that asks for one thing and writes it.
func query[T any](
	use, short, long string, ask func(*api.Client, context.Context) (T, error), table func(*show.Output, T) error,
) *cobra.Command {
	var c client
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := ask(c.connect(), cmd.Context())
			if err != nil {
				return err
			}
			return present(&c, cmd.OutOrStdout(), v, table)
		},
	}
	c.addFlags(cmd)
	return cmd
}
