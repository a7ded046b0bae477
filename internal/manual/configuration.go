package manual

import (
	"bytes"
	"fmt"
	"os"

	"github.com/arpfabric/arpfabric/config"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

const configurationText = `A configuration is one YAML file. **arpfabric-check(8)** prints every mistake in it. Unknown keys, anchors,
aliases, merge keys and tags are errors.

NAME stands for the name of a network, and ADDRESSES for an address, a range or a prefix.

`

// writeConfiguration writes the page of the configuration file. Cobra makes it, as that of a command.
func writeConfiguration(path string) error {
	page := &cobra.Command{
		Use:   "arpfabric.yaml",
		Short: "the configuration of arpfabric",
		Long:  configurationText + keys(),

		Example:               config.Reference(),
		DisableAutoGenTag:     true,
		DisableFlagsInUseLine: true,
	}
	var text bytes.Buffer
	if err := doc.GenMan(page, header("5"), &text); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
}

// keys returns a section with the meaning of each key, in Markdown.
func keys() string {
	var text bytes.Buffer
	fmt.Fprintln(&text, "# KEYS")
	for _, key := range config.Keys() {
		text.WriteString(definition(key.Path, key.Meaning))
	}
	return text.String()
}
