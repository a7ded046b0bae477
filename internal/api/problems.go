package api

import (
	"fmt"
	"strings"
)

// ReloadFailed begins the problem that is a reload which failed.
const ReloadFailed = "the last reload failed: "

// ProblemsOf returns what an operator has to repair: networks that do not work as configured, and a configuration that
// could not be reloaded. Violations are none: they are the guests'.
func ProblemsOf(s Status) []string {
	problems := networkProblems(s)
	if s.Store != nil {
		for _, network := range s.Store.OtherNetworks {
			problems = append(problems, fmt.Sprintf("the allocations of network %s are not in force: the configuration has no such "+
				"network; give it its name again, or see arpfabric bindings --network %s", network, network))
		}
	}
	problems = append(problems, pageProblems(s)...)
	if s.Configuration.LastError != "" {
		first, _, _ := strings.Cut(s.Configuration.LastError, "\n")
		problems = append(problems, ReloadFailed+first)
	}
	return problems
}

func networkProblems(s Status) []string {
	problems := []string{}
	for _, n := range s.Networks {
		if n.WaitsFor != "" {
			problems = append(problems, fmt.Sprintf("network %s has not started: %s", n.Name, n.WaitsFor))
		}
		for _, finding := range n.Findings {
			problems = append(problems, fmt.Sprintf("network %s: %s", n.Name, finding))
		}
		for _, one := range n.Sources {
			problems = append(problems, sourceProblems(n.Name, one)...)
		}
	}
	return problems
}

func sourceProblems(network string, s SourceState) (problems []string) {
	if s.Error != "" {
		problems = append(problems, fmt.Sprintf("network %s: the source %s can't be read: %s (bindings that stay in force until their "+
			"leases end: %d)", network, s.Kind, s.Error, s.Bindings))
	}
	for _, entry := range s.LeftOut {
		problems = append(problems, fmt.Sprintf("network %s: the source %s has an entry that is no binding: %s", network, s.Kind, entry))
	}
	return problems
}

func pageProblems(s Status) []string {
	if s.Page == nil || s.Page.Error == "" {
		return nil
	}
	return []string{"the page is not available until the next start: " + s.Page.Error}
}
