package main

import (
	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/demo"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/spf13/cobra"
)

func newDemo() *cobra.Command {
	shell, hosts, datapath := false, 0, config.DatapathAuto
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the ARP of a VPC's guests, and of a plain bridge's, on a temporary bridge",
		Long: "Build a bridge with three guests in new network namespaces, run the fabric on it, and send the requests of\n" +
			"a capture from a real VPC. Print the frames that each guest sends and receives: in vpc mode, in classic\n" +
			"mode, and a comparison. Then allocate an address to a guest that has none. The demo takes some seconds, does\n" +
			"not change the machine's own network, and removes everything at its end.\n\n" +
			"With --hosts, show one network over many hosts instead, each with a bridge, guests and a fabric of its own: an\n" +
			"allocation, pings, a migration, etcd away and back, and a dead host. This needs etcd in the PATH.\n\n" +
			"It needs no privilege, except for the datapath kernel, which needs root. It exits with 1 if a guest receives other\n" +
			"frames than in the captures, or anything else is not as it must be.",
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			many := cmd.Flags().Changed("hosts")
			if many {
				if err := demo.CheckHosts(hosts); err != nil {
					return err
				}
			}
			inside, code, err := lab.Enter()
			if err != nil {
				return err
			}
			if !inside {
				return exitCode(code)
			}
			switch ctx, out := cmd.Context(), cmd.OutOrStdout(); {
			case many && shell:
				return demo.ShellHosts(ctx, hosts, datapath, out)
			case many:
				return demo.RunHosts(ctx, hosts, datapath, out)
			case shell:
				return demo.Shell(ctx, datapath, out)
			default:
				return demo.Run(ctx, datapath, out)
			}
		},
	}
	cmd.Flags().BoolVar(&shell, "shell", false, "open a shell in the lab instead, while the fabric runs")
	cmd.Flags().IntVar(&hosts, "hosts", 0, "show one network over `N` hosts instead (2 to 9), which needs etcd")
	addDatapath(cmd, &datapath, "answer guests by `DATAPATH`: auto (default), kernel or user")
	return cmd
}
