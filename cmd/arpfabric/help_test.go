package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestHelp checks that every command has a help text, and its form.
func TestHelp(t *testing.T) {
	skipIfShort(t)
	for _, cmd := range commandsBelow(newRoot()) {
		t.Run(cmd.CommandPath(), func(t *testing.T) {
			if s := cmd.Short; s == "" || s[:1] != strings.ToUpper(s[:1]) || strings.HasSuffix(s, ".") {
				t.Errorf("Short must begin with a capital and end without a full stop: %q", s)
			}
			if cmd.Long == "" || strings.HasSuffix(cmd.Long, "\n") {
				t.Errorf("Long must be there, without an empty line at its end: %q", cmd.Long)
			}
			for line := range strings.Lines(cmd.Long) {
				if len(strings.TrimSuffix(line, "\n")) > 120 {
					t.Errorf("a line of %d columns: %s", len(line), line)
				}
			}
		})
	}
}

// commandsBelow returns root and all commands below it.
func commandsBelow(root *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{root}
	for _, cmd := range root.Commands() {
		all = append(all, commandsBelow(cmd)...)
	}
	return all
}
