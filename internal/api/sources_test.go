package api

import (
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/config"
)

// TestSources checks that each kind of the configuration is a constant, which the description lists.
func TestSources(t *testing.T) {
	constants := []Source{FromDnsmasqLeases, FromKeaLeases, FromISCLeases, FromLibvirtStatus, FromDocker}
	for _, kind := range config.SourceKinds() {
		if !slices.Contains(constants, Source(kind)) {
			t.Errorf("there is no constant for %s", kind)
		}
	}
	if got, want := len(Sources()), len(constants)+2; got != want {
		t.Errorf("%d sources, want %d", got, want)
	}
}
