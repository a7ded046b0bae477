package main

import (
	"bufio"
	"errors"
	"io"
	"os/signal"

	"github.com/arpfabric/arpfabric/internal/check"
	"github.com/spf13/cobra"
)

func newCheck() *cobra.Command {
	var c client
	againstRunning := false
	cmd := &cobra.Command{
		Use:   "check [--against-running] [FILE...]",
		Short: "Check configurations, and print a summary of each network",
		Long: "Read configurations as 'run' does. Print every mistake as file:line: path: problem, or, if there is none, a\n" +
			"line for each network. '-' is standard input. Without FILE, check reads the configuration that 'run' reads\n" +
			"without --config. check starts nothing.\n\n" +
			"On a machine that has an interface of the configuration, check also warns about what differs there: an uplink that\n" +
			"is no member of its bridge, a bridge that is missing, a default route that the guard would cut off. It\n" +
			"also warns if the groups that the API names do not exist here, and says which datapath a fabric of this user would\n" +
			"have, and why it is not the kernel.\n\n" +
			"With --against-running, print what the configuration would change in the running fabric instead: the bindings that\n" +
			"are added, removed and moved, the ports that they name, and the guests that are cut off. Allocations count.\n\n" +
			"It needs no privilege, or with --against-running that of the socket. It exits with 1 if there is a mistake, and\n" +
			"with 0 if there are only warnings.",
		Example: "  arpfabric check lab.yaml\n" +
			"  arpfabric import /etc/ethers | arpfabric check -\n" +
			"  arpfabric check --against-running next.yaml",
		ValidArgsFunction: completeYAML,
		RunE: func(cmd *cobra.Command, files []string) error {
			signal.Reset() // Ctrl-C ends the reading of standard input
			named := len(files) != 1
			if len(files) == 0 {
				files = []string{defaultConfig()}
			}
			if againstRunning {
				if len(files) > 1 {
					return usageError{errors.New("--against-running takes one file")}
				}
				return c.printPlanOrMistakes(cmd, files[0])
			}
			return checkFiles(cmd.OutOrStdout(), files, named, c.json)
		},
	}
	c.addFlags(cmd)
	cmd.Flags().BoolVar(&againstRunning, "against-running", false, "print what the configuration would change in the running fabric")
	return cmd
}

func checkFiles(w io.Writer, files []string, named, asJSON bool) error {
	var results []check.Result
	for _, file := range files {
		results = append(results, check.File(file))
	}
	return printChecked(w, results, named, asJSON)
}

// printChecked prints results, and returns an exit code if one has a mistake.
func printChecked(w io.Writer, results []check.Result, named, asJSON bool) error {
	out, ok := bufio.NewWriter(w), true
	for _, r := range results {
		ok = ok && r.OK()
		if !asJSON {
			r.Print(out, named)
		}
	}
	if asJSON {
		writeJSON(out, results)
	}
	if err := out.Flush(); err != nil { // bufio keeps the first error
		return err
	}
	if !ok {
		return exitCode(exitNo)
	}
	return nil
}
