package main

import (
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

// TestFull checks that every command reports an error if it cannot write its output, whatever the answer is.
func TestFull(t *testing.T) {
	skipIfShort(t)
	good, bad := labtest.TempFile(t, "arpfabric.yaml", onBridge("")), labtest.TempFile(t, "arpfabric.yaml", "networks: {}\n")
	same, differs := capturePath(t, [6]byte{0x02, 0, 0, 0xde, 0x54, 0xa8}), capturePath(t, [6]byte{0x02, 0, 0x09, 0xde, 0x54, 0xa8})
	ethers := labtest.TempFile(t, "arpfabric.yaml", "02:00:06:de:54:a8 10.239.0.101\n")
	tests := []struct {
		name string
		args []string
	}{
		{"check", []string{"check", good}},
		{"check, no", []string{"check", bad}},
		{"replay", []string{"replay", "--config", good, same}},
		{"replay, no", []string{"replay", "--config", good, differs}},
		{"replay, every line", []string{"replay", "--config", good, "--verbose", differs}},
		{"replay as JSON", []string{"replay", "--config", good, "--json", differs}},
		{"learn", []string{"replay", "--learn", same}},
		{"explain, no", []string{"explain", "--config", good, "--port", "vnet2", "who-has 10.239.0.9 tell 10.239.0.101"}},
		{"explain as JSON", []string{"explain", "--json", "--config", good, "--frame", "ff", "--port", "vnet2"}},
		{"import", []string{"import", "--format", "ethers", ethers}},
		{"schema", []string{"schema"}},
		{"version", []string{"version"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, out := runToEnd(t, []string{"sh", "-c", `"$@" >/dev/full`, "sh"}, tt.args...)
			const want = "arpfabric: write /dev/stdout: no space left on device\n"
			if code != 1 || out != want {
				t.Errorf("exit code %d\n%s\nwant 1\n%s", code, out, want)
			}
		})
	}
}
