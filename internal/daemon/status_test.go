package daemon

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/config"
)

// TestAbsolute checks that clients in other folders find the files of a fabric that was started with relative paths.
func TestAbsolute(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	got := absolute([]string{"lab.yaml", "/etc/ethers", config.Stdin})
	if want := []string{filepath.Join(here, "lab.yaml"), "/etc/ethers", config.Stdin}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
