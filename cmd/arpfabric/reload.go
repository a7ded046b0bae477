package main

import (
	"fmt"
	"strings"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/show"
	"github.com/spf13/cobra"
)

func newReload() *cobra.Command {
	return query("reload", "Make the running fabric read its configuration again",
		"Make the running fabric read its configuration again, and wait until it is in force. If anything is wrong with it,\n"+
			"every problem is printed, it exits with 1, and the configuration before stays in force.\n\n"+
			"The fabric also does so by itself, soon after one of its files has changed.",
		(*api.Client).Reload,
		func(o *show.Output, c api.Configuration) error {
			return o.Line(fmt.Sprintf("configuration %d is in force, from %s", c.Generation, strings.Join(c.Files, ", ")))
		})
}
