package main

import (
	"github.com/arpfabric/arpfabric/internal/capability"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/spf13/cobra"
)

func newRelease() *cobra.Command {
	return &cobra.Command{
		Use:   "release",
		Short: "Remove the guard that a fabric has left behind",
		Long: "Remove the nftables tables that stay when a fabric is killed, or is stopped with 'on_stop: hold'.\n" +
			"Guests' ARP crosses their bridge again, and that of a sidecar's guest leaves.\n\n" +
			"It needs CAP_NET_ADMIN. It exits with 1, and has removed nothing, while a fabric runs. That there is\n" +
			"nothing to remove is no error.",
		Args: usage(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if err := capability.Raise(); err != nil {
				return err
			}
			return fabric.Release()
		},
	}
}
