package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/ask"
	"github.com/arpfabric/arpfabric/internal/capability"
	"github.com/arpfabric/arpfabric/internal/complete"
	"github.com/spf13/cobra"
)

func newAsk() *cobra.Command {
	running := client{socket: config.DefaultSocket}
	var query ask.Query
	asJSON := false
	cmd := &cobra.Command{
		Use:   "ask IP",
		Short: "Ask who has an address, as a guest would",
		Long: "Broadcast ARP requests for an address from an interface of this network namespace, and print, in\n" +
			"tcpdump's words, each reply as it comes, with its latency, and each request without one. Replies are\n" +
			"listened for until the timeout, also after the first, so that two who answer for one address are both\n" +
			"heard: that is a conflict. The summary counts requests and those that were answered; its latencies are\n" +
			"of the first reply to each. SIGINT ends it early, with the summary.\n\n" +
			"Requests are sent from the interface's own address in the subnet of IP, or, with --probe, from 0.0.0.0.\n" +
			"A probe is what a guest sends that is about to take an address (RFC 5227), so a reply means that it is\n" +
			"taken; a fabric answers the owner's probe for its own address too. The interface needs some IPv4 address\n" +
			"for a probe as well.\n\n" +
			"Run it inside a guest. On a host whose bridge is guarded, and beside a sidecar, the fabric answers by an\n" +
			"entry in the kernel's neighbour table: ask hears nothing there.\n\n" +
			"With --json, latencies are in nanoseconds, and 'latency' is absent if nothing was answered; 'answerers'\n" +
			"has for each MAC how many replies named it, and the source MACs of their Ethernet headers.\n\n" +
			"It needs CAP_NET_RAW. It exits with 1 if a request was not answered, or in a conflict.",
		Example: "  arpfabric ask 10.239.0.102\n" +
			"  ip netns exec app arpfabric ask 10.239.0.102 --json\n" +
			"  arpfabric ask 10.239.0.103 --interface eth0 --probe --count 3",
		Args: usage(cobra.MatchAll(cobra.ExactArgs(1), func(_ *cobra.Command, args []string) (err error) {
			query.Address, err = ask.ParseAddress(args[0])
			return errors.Join(err, query.Check())
		})),
		ValidArgsFunction: completeOnce(running.suggest(complete.Addresses)),
		RunE:              func(cmd *cobra.Command, _ []string) error { return runAsk(cmd, query, asJSON) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&query.Interface, "interface", "i", "",
		"ask from the interface `NAME` (default: the one with a subnet that IP is in)")
	flags.IntVar(&query.Count, "count", 1, "send `N` requests")
	flags.DurationVar(&query.Interval, "interval", time.Second,
		"from one request to the next, unless the timeout is longer")
	flags.DurationVar(&query.Timeout, "timeout", time.Second, "how long to listen for replies to a request")
	flags.BoolVar(&query.Probe, "probe", false, "ask from 0.0.0.0")
	flags.BoolVar(&asJSON, "json", false, "write a JSON object at the end, and no lines")
	return cmd
}

func runAsk(cmd *cobra.Command, query ask.Query, asJSON bool) error {
	if err := capability.Raise(); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	lines := out
	if asJSON {
		lines = io.Discard
	}
	report, err := ask.Run(cmd.Context(), query, lines)
	if err != nil {
		return err
	}
	if asJSON {
		object := json.NewEncoder(out)
		object.SetIndent("", "  ")
		err = object.Encode(report)
	} else {
		_, err = fmt.Fprintln(out, report)
	}
	if err == nil && !report.OK() {
		return exitCode(exitNo)
	}
	return err
}
