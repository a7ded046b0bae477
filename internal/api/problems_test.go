package api

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProblems(t *testing.T) {
	if got := ProblemsOf(Status{Networks: []Network{{Name: "lab"}}, Page: &Page{URL: "http://localhost:9643/"}}); got == nil || len(got) > 0 {
		t.Errorf("without problems: %#v, want an empty list", got)
	}
	got := ProblemsOf(Status{
		Networks: []Network{
			{Name: "lab", Findings: []string{"the uplink eth1 is not a member of br0"}},
			{Name: "late", WaitsFor: "there is no bridge br7"},
			{Name: "leases", Sources: []SourceState{{Kind: "dnsmasq_leases", Error: "no such file", Bindings: 3, LeftOut: []string{"line 7"}}}},
		},
		Store:         &Store{OtherNetworks: []string{"gone"}},
		Page:          &Page{Error: "address already in use"},
		Configuration: Configuration{LastError: "lab.yaml:3: first\nlab.yaml:4: second"},
	})
	want := []string{
		"network lab: the uplink eth1 is not a member of br0",
		"network late has not started: there is no bridge br7",
		"network leases: the source dnsmasq_leases can't be read: no such file (bindings that stay in force until their leases end: 3)",
		"network leases: the source dnsmasq_leases has an entry that is no binding: line 7",
		"the allocations of network gone are not in force: the configuration has no such network; give it its name again, " +
			"or see arpfabric bindings --network gone",
		"the page is not available until the next start: address already in use",
		"the last reload failed: lab.yaml:3: first",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
