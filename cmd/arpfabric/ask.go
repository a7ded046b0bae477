package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/arpfabric/arpfabric/internal/arping"
	"github.com/spf13/cobra"
)

func newAsk() *cobra.Command {
	fabric := client{socket: defaultSocket()}
	var query arping.Query
	asJSON := false
	cmd := &cobra.Command{
		Use:   "ask IP",
		Short: "Send ARP requests for an address, as a guest would",
		Long: "Broadcast ARP requests for an address from an interface of this network namespace. Print each reply as\n" +
			"tcpdump prints it, with its latency, and each request that gets none. ask listens until the timeout, also\n" +
			"after the first reply: if two MACs answer, it reports a conflict. The summary counts the requests and those\n" +
			"that were answered; its latencies are those of the first reply to each request. SIGINT ends ask early and\n" +
			"prints the summary.\n\n" +
			"The sender of a request is the interface's own address in the subnet of IP or, with --probe, 0.0.0.0. A\n" +
			"host sends such a probe before it takes an address (RFC 5227), so a reply means that the address is in\n" +
			"use. The fabric also answers the owner's probe for its own address. For a probe, too, the interface needs\n" +
			"an IPv4 address.\n\n" +
			"Run it inside a guest. On the host of a guarded bridge, and with the datapath user in the network namespace\n" +
			"of a sidecar, the fabric answers with an entry in the kernel's neighbour table, so ask receives no reply.\n\n" +
			"With --json, latencies are in nanoseconds, and 'latency' is absent if no request was answered; 'answerers'\n" +
			"has the number of replies with each MAC, and the source MACs of their Ethernet headers.\n\n" +
			"It needs CAP_NET_RAW. It exits with 1 if a request gets no answer, or if two MACs answer.",
		Example: "  arpfabric ask 10.239.0.102\n" +
			"  ip netns exec app arpfabric ask 10.239.0.102 --json\n" +
			"  arpfabric ask 10.239.0.103 --interface eth0 --probe --count 3",
		Args: usage(cobra.MatchAll(takes("IP"), func(_ *cobra.Command, args []string) (err error) {
			query.Address, err = arping.ParseAddress(args[0])
			return errors.Join(err, query.Check())
		})),
		ValidArgsFunction: completeOnce(fabric.suggest(suggestAddresses)),
		RunE:              func(cmd *cobra.Command, _ []string) error { return runAsk(cmd, query, asJSON) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&query.Interface, "interface", "i", "",
		"send from the interface `NAME` (default: the interface with a subnet that contains IP)")
	flags.IntVar(&query.Count, "count", 1, "send `N` requests")
	flags.DurationVar(&query.Interval, "interval", time.Second,
		"time between requests, unless the timeout is longer")
	flags.DurationVar(&query.Timeout, "timeout", time.Second, "time to wait for replies to a request")
	flags.BoolVar(&query.Probe, "probe", false, "send from 0.0.0.0")
	flags.BoolVar(&asJSON, "json", false, "write only a JSON object, at the end")
	return cmd
}

func runAsk(cmd *cobra.Command, query arping.Query, asJSON bool) error {
	out := cmd.OutOrStdout()
	lines := out
	if asJSON {
		lines = io.Discard
	}
	report, err := arping.Run(cmd.Context(), query, lines)
	if err != nil {
		return err
	}
	if asJSON {
		err = writeJSON(out, report)
	} else {
		_, err = fmt.Fprintln(out, report)
	}
	if err == nil && !report.OK() {
		return exitCode(exitNo)
	}
	return err
}
