package main

import (
	"os"
	"testing"
)

func TestSchema(t *testing.T) {
	skipIfShort(t)
	want, err := os.ReadFile("../../examples/arpfabric.schema.json")
	must(t, err)
	if code, out := runToEnd(t, nil, "schema"); code != 0 || out != string(want) {
		t.Errorf("exit code %d, %s", code, out)
	}
}
