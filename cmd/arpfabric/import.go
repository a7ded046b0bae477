package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/internal/importer"
	"github.com/spf13/cobra"
)

func newImport() *cobra.Command {
	var o importer.Options
	var ethers bool
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Make a registry from the files of other programs",
		Long: "Read files of other programs and print a configuration with their bindings. The formats are /etc/ethers, the\n" +
			"configuration and the leases of dnsmasq, Kea, ISC dhcpd and OpenWrt, networks and guests of libvirt, Docker,\n" +
			"podman, Proxmox and OpenStack, neighbour tables, and CSV. A folder stands for the files in it, '-' for\n" +
			"standard input. import reports each entry that it leaves out on standard error.\n\n" +
			"It needs no privilege. It exits with 1 if it leaves out an entry that has an IPv4 address now.",
		Args:              takesSeveral("FILE"),
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
	flags.StringVar((*string)(&o.Format), "format", "", "the `FORMAT` of all files (default: by the content of each):\n"+formatHelp())
	cmd.RegisterFlagCompletionFunc("format", completeWords(importer.FormatNames()))
	flags.StringVar(&o.Network, "network", "", "import the network with this `NAME`, or give it to the only one\n(default: the name in the files, or lab)")
	flags.StringVar(&o.Bridge, "bridge", "", "import the network on this `BRIDGE`, or give it to the only one;\nof neighbour entries, only those on it are taken (default: the bridge in the files, or br0)")
	flags.StringVar(&o.VLAN, "vlan", "", "import only the networks in this `VLAN` of their bridges; 0 is for those in none")
	flags.BoolVar(&ethers, "ethers", false, "print a file for registry_files, not a configuration")
	return cmd
}

// formatHelp lists the formats on lines that fit.
func formatHelp() string {
	const perLine = 7
	var lines []string
	for names := range slices.Chunk(importer.FormatNames(), perLine) {
		lines = append(lines, strings.Join(names, ", "))
	}
	return strings.Join(lines, ",\n")
}

func runImport(cmd *cobra.Command, files []string, o importer.Options, ethers bool) error {
	found, err := importer.Read(files, o)
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
	if ethers && found.NeedsYAML() {
		fmt.Fprintln(cmd.ErrOrStderr(), "arpfabric: a line of ethers(5) has no port and no routes: leave --ethers out to get them")
	}
	if err := write(cmd.OutOrStdout()); err != nil {
		return err
	}
	if !found.IsComplete() {
		return exitCode(exitNo)
	}
	return nil
}
