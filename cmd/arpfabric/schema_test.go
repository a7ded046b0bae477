package main

import (
	"os"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

func TestSchema(t *testing.T) {
	skipIfShort(t)
	want, err := os.ReadFile("../../config/arpfabric.schema.json")
	labtest.Must(t, err)
	if code, out := runToEnd(t, nil, "schema"); code != 0 || out != string(want) {
		t.Errorf("exit code %d, %s", code, out)
	}
}
