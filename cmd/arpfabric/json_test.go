package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/docs"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestEveryJSONIsDescribed checks that docs/openapi.json describes the output of each command that has --json.
func TestEveryJSONIsDescribed(t *testing.T) {
	var document struct {
		Commands map[string]any `json:"x-commands"`
	}
	labtest.Must(t, json.Unmarshal(docs.OpenAPI, &document))
	var want []string
	for _, cmd := range commandsBelow(newRoot()) {
		if cmd.Flags().Lookup("json") != nil {
			want = append(want, cmd.CommandPath()+" --json")
		}
		for _, other := range []string{"against-running", "dry-run", "free"} { // with these, the output is another one
			if cmd.Flags().Lookup(other) != nil {
				want = append(want, cmd.CommandPath()+" --"+other+" --json")
			}
		}
	}
	got := slices.Collect(maps.Keys(document.Commands))
	if diff := cmp.Diff(want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("commands with --json, and those that are described (-want +got)\n%s", diff)
	}
}
