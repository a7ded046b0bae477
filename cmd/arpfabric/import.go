package main

import (
	"fmt"
	"time"

	"github.com/arpfabric/arpfabric/internal/imports"
	"github.com/spf13/cobra"
)

func newImport() *cobra.Command {
	var o imports.Options
	var ethers bool
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Make a registry of what other programs know of addresses and MACs",
		Long: "Read files of other programs and print a configuration with what is in them: /etc/ethers, dnsmasq's\n" +
			"configuration and leases, Kea's, the XML of libvirt networks, and the JSON of 'docker network inspect'\n" +
			"and 'ip -j neigh'. '-' is standard input. What can't be taken is named on standard error.\n\n" +
			"It needs no privilege. It exits with 1 if there is more left out than what has no IPv4 address now.",
		Args:              usage(cobra.MinimumNArgs(1)),
		ValidArgsFunction: completeFiles,
		RunE: func(cmd *cobra.Command, files []string) error {
			if err := o.Check(); err != nil {
				return usageError{err}
			}
			o.Stdin, o.Now = cmd.InOrStdin(), time.Now()
			return runImport(cmd, files, o, ethers)
		},
	}
	flags := cmd.Flags()
	flags.StringVar((*string)(&o.Format), "format", "", "the `FORMAT` of all files: ethers, dnsmasq, "+
		"dnsmasq-leases,\nkea, kea-leases, libvirt, docker or neigh (default: by what is in each)")
	cmd.RegisterFlagCompletionFunc("format", completeWords(imports.FormatNames()))
	flags.StringVar(&o.Network, "network", "", "the `NAME` of the network (default: what the files say, or lab)")
	flags.StringVar(&o.Bridge, "bridge", "", "the `BRIDGE` that it is on, and that neighbours are to be on\n(default: what the files say, or br0)")
	flags.BoolVar(&ethers, "ethers", false, "print the lines of a file for registry_files, not a configuration")
	return cmd
}

func runImport(cmd *cobra.Command, files []string, o imports.Options, ethers bool) error {
	found, err := imports.Read(files, o)
	for _, left := range found.LeftOut {
		fmt.Fprintln(cmd.ErrOrStderr(), left)
	}
	if err != nil {
		return err
	}
	write := found.WriteYAML
	if ethers {
		write = found.WriteEthers
	}
	if err := write(cmd.OutOrStdout()); err != nil {
		return err
	}
	if !found.IsWhole() {
		return exitCode(exitNo)
	}
	return nil
}
