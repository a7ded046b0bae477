package main

import (
	"time"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/show"
	"github.com/spf13/cobra"
)

func newStatus() *cobra.Command {
	return query("status", "Show how the running fabric is",
		"Show the networks of the running fabric, when and from which files they were loaded, what became of guests' frames,\n"+
			"and what went wrong. It exits with 1 if no fabric answers, and serves as a health check.",
		(*api.Client).Status,
		func(o *show.Output, s api.Status) error { return o.Status(s, time.Now()) })
}

func newPorts() *cobra.Command {
	return query("ports", "Show the ports, and what their frames were",
		"Show the ports that there are now, and how often each reason was the verdict on a frame of theirs.\n"+
			"REFUSED are frames that were not on the guard's allow-list.",
		(*api.Client).Ports, (*show.Output).Ports)
}

func newViolations() *cobra.Command {
	return query("violations", "Show who uses a MAC or an address that is not theirs",
		"Show what guests did with MACs and addresses that are not theirs, on which port, whose they are, and how often.\n"+
			"ACTION is pass where the network's mode is classic.",
		(*api.Client).Violations,
		func(o *show.Output, v []api.Violation) error { return o.Violations(v, time.Now()) })
}
