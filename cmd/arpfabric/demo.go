package main

import (
	"github.com/arpfabric/arpfabric/internal/demo"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/spf13/cobra"
)

func newDemo() *cobra.Command {
	shell := false
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show on a throw-away bridge what a VPC's guests see of ARP, and what a plain bridge's do",
		Long: "Build a bridge with three guests in network namespaces of its own, run the fabric on it, play what\n" +
			"was captured in a real VPC, and print what each guest sent and saw: in vpc mode, in classic mode, and\n" +
			"side by side. It takes some seconds, touches nothing of the machine's own network, and leaves nothing\n" +
			"behind.\n\n" +
			"It needs no privilege. It exits with 1 if a guest saw anything else than guests of a VPC see.",
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			inside, code, err := lab.Enter()
			if err != nil {
				return err
			}
			if !inside {
				return exitCode(code)
			}
			if shell {
				return demo.Shell(cmd.Context(), cmd.OutOrStdout())
			}
			return demo.Play(cmd.Context(), cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&shell, "shell", false, "play nothing, and leave a shell in the lab with the fabric running")
	return cmd
}
