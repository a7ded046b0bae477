package main

import (
	"strings"

	"github.com/arpfabric/arpfabric/internal/daemon"
	"github.com/arpfabric/arpfabric/internal/show"
	"github.com/spf13/cobra"
)

func newRelease() *cobra.Command {
	return &cobra.Command{
		Use:   "release",
		Short: "Remove the guard that a stopped fabric has left",
		Long: "Remove the nftables tables that stay after a fabric was killed, or stopped with 'on_stop: hold'. Guests' ARP\n" +
			"then crosses their bridge again, and the ARP of a sidecar's guest leaves its network namespace again. Restore\n" +
			"the settings of bridges and ports that the fabric had changed. Print what was removed.\n\n" +
			"It needs CAP_NET_ADMIN. While a fabric runs, it removes nothing and exits with 1. If there is nothing to\n" +
			"remove, it exits with 0.",
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			removed, err := daemon.Release()
			if err != nil {
				return err
			}
			text := "there is no guard to remove"
			if len(removed) > 0 {
				text = "removed the guard: nftables table " + strings.Join(removed, ", ")
			}
			return show.NewOutput(cmd.OutOrStdout()).Line(text)
		},
	}
}
