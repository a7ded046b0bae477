package main

import (
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/spf13/cobra"
)

func newRelease() *cobra.Command {
	return &cobra.Command{
		Use:   "release",
		Short: "Remove the guard that a fabric has left behind",
		Long: "Remove the nftables table that stays when a fabric is killed, or is stopped with 'on_stop: hold'.\n" +
			"Guests' ARP crosses their bridge again.",
		Args: usage(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error { return fabric.Release() },
	}
}
