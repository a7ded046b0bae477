package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/spf13/cobra"
)

func TestManHasAPageForEachCommand(t *testing.T) {
	skipIfShort(t)
	dir := t.TempDir()
	if code, out := runToEnd(t, nil, "man", dir); code != 0 || out != "" {
		t.Fatalf("exit code %d, %s", code, out)
	}
	expectPages(t, filepath.Join(dir, "man8"), newRoot())
}

// TestManListsEverything checks that arpfabric(8) has every command, and arpfabric.yaml(5) every key and the reference.
func TestManListsEverything(t *testing.T) {
	skipIfShort(t)
	dir := t.TempDir()
	runToEnd(t, nil, "man", dir)
	commands := readPage(t, filepath.Join(dir, "man8", "arpfabric.8"))
	for _, cmd := range newRoot().Commands() {
		if entry := ".TP\n\\fB" + cmd.Name() + "\\fP\n" + cmd.Short; cmd.IsAvailableCommand() && !strings.Contains(commands, entry) {
			t.Errorf("arpfabric(8) has no %q:\n%s", entry, commands)
		}
	}
	keys := readPage(t, filepath.Join(dir, "man5", "arpfabric.yaml.5"))
	for _, key := range config.Keys() {
		if !strings.Contains(keys, ".TP\n\\fB"+key.Path+"\\fP\n") {
			t.Errorf("arpfabric.yaml(5) has no %s", key.Path)
		}
	}
	if !strings.Contains(keys, "registry_files: [reference.ethers]") {
		t.Errorf("arpfabric.yaml(5) has no example:\n%s", keys)
	}
}

func readPage(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	labtest.Must(t, err)
	return string(text)
}

func expectPages(t *testing.T, dir string, c *cobra.Command) {
	t.Helper()
	if c.HasParent() && !c.IsAvailableCommand() {
		return
	}
	page, err := os.ReadFile(filepath.Join(dir, strings.ReplaceAll(c.CommandPath(), " ", "-")+".8"))
	if err != nil || !strings.Contains(string(page), c.Short) {
		t.Errorf("%s (%v):\n%s", c.CommandPath(), err, page)
	}
	for _, child := range c.Commands() {
		expectPages(t, dir, child)
	}
}
