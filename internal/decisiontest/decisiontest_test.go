package decisiontest_test

import (
	"testing"

	"github.com/arpfabric/arpfabric/internal/decisiontest"
)

// TestRead checks that a file that was read and recorded again is the same.
func TestRead(t *testing.T) {
	const path = "../../responder/testdata/frames.jsonl"
	var again decisiontest.File
	for _, n := range decisiontest.Read(t, path) {
		for _, c := range n.Cases {
			again.Add(n.Registry, n.Policy, c)
		}
	}
	if err := again.Check(path, false); err != nil {
		t.Error(err)
	}
}
