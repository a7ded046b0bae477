package main

import (
	"cmp"
	"os"

	"github.com/arpfabric/arpfabric/config"
)

// environment is the part of the help text about the environment variables that replace defaults.
const environment = "ARPFABRIC_CONFIG in the environment replaces the default configuration of 'run' and 'check', and\n" +
	"ARPFABRIC_SOCKET the default of --socket. NO_COLOR switches colours and bold headings off."

// defaultConfig returns the configuration that 'run' and 'check' read if the command line names none.
func defaultConfig() string {
	return cmp.Or(os.Getenv("ARPFABRIC_CONFIG"), "/etc/arpfabric/arpfabric.yaml")
}

// defaultSocket returns the socket on which a running fabric is looked for if the command line names none.
func defaultSocket() string { return cmp.Or(os.Getenv("ARPFABRIC_SOCKET"), config.DefaultSocket) }
