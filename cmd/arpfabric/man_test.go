package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestManHasAPageForEachCommand(t *testing.T) {
	skipIfShort(t)
	dir := t.TempDir()
	if code, out := runToEnd(t, nil, "man", dir); code != 0 || out != "" {
		t.Fatalf("exit code %d, %s", code, out)
	}
	expectPages(t, dir, newRoot())
}

func expectPages(t *testing.T, dir string, c *cobra.Command) {
	t.Helper()
	if c.Hidden {
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
