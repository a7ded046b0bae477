package main

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	skipIfShort(t)
	code, out := runToEnd(t, nil, "version")
	if code != 0 || !strings.HasPrefix(out, "arpfabric ") || !strings.Contains(out, runtime.Version()) {
		t.Errorf("exit code %d, %s", code, out)
	}
	if code, flag := runToEnd(t, nil, "--version"); code != 0 || flag != out {
		t.Errorf("--version: exit code %d, %s", code, flag)
	}
	code, out = runToEnd(t, nil, "version", "--json")
	var info map[string]any
	if err := json.Unmarshal([]byte(out), &info); err != nil || code != 0 || info["arch"] != runtime.GOARCH {
		t.Errorf("exit code %d (%v), %s", code, err, out)
	}
}
