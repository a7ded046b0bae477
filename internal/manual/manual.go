// Package manual writes the manual pages: one of each command, from its help text, and one of the configuration file,
// from the comments of its reference.
package manual

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/arpfabric/arpfabric/internal/build"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// Write writes the pages of root, of all commands below it and of the configuration file into the folders man8 and man5
// of dir. It creates these folders if they are missing. It changes root's texts.
func Write(root *cobra.Command, dir string) error {
	commands, files := filepath.Join(dir, "man8"), filepath.Join(dir, "man5")
	for _, folder := range []string{commands, files} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return fmt.Errorf("creating a folder for manual pages: %w", err)
		}
	}
	root.DisableAutoGenTag = true
	root.InitDefaultVersionFlag()
	root.Long += "\n\n" + sections(root)
	if err := doc.GenManTree(root, header("8"), commands); err != nil {
		return err
	}
	return writeConfiguration(filepath.Join(files, "arpfabric.yaml.5"))
}

func header(section string) *doc.GenManHeader {
	return &doc.GenManHeader{Section: section, Source: "arpfabric " + build.Read().Version, Manual: "arpfabric"}
}

// sections returns sections for the page of root, in Markdown: the commands, and the files.
func sections(root *cobra.Command) string {
	var text strings.Builder
	text.WriteString("# COMMANDS\n")
	for _, cmd := range root.Commands() {
		if cmd.IsAvailableCommand() {
			text.WriteString(definition(cmd.Name(), cmd.Short+"."))
		}
	}
	text.WriteString("# FILES\n")
	text.WriteString(definition("/etc/arpfabric/arpfabric.yaml", "The configuration, which **arpfabric.yaml(5)** describes."))
	text.WriteString(definition("/run/arpfabric/api.sock", "The socket of the API."))
	return text.String()
}

// definition returns a term and its meaning in Markdown.
func definition(term, meaning string) string { return fmt.Sprintf("**%s**\n:   %s\n\n", term, meaning) }
