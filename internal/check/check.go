// Package check reads configurations, and reports the networks or the mistakes of each, as text or as JSON. On a machine
// that has interfaces of a configuration, it also reports what differs from it there.
package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/user"
	"strconv"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/datapath/choice"
	"github.com/arpfabric/arpfabric/internal/fabric"
	"github.com/arpfabric/arpfabric/internal/page"
	"github.com/arpfabric/arpfabric/internal/source"
)

// Result is the result of checking one configuration. It has networks or problems, and never both.
type Result struct {
	File     string          `json:"file"` // as named on the command line; - for standard input
	Networks []Network       `json:"networks"`
	Problems config.Problems `json:"problems"`

	// Datapath is how a fabric that this user starts now on this machine would answer guests. It is absent if the machine has
	// none of the configuration's interfaces.
	Datapath *Datapath `json:"datapath,omitempty"`

	// Warnings says what of the configuration, beside its networks, this machine lacks. It is absent if there is nothing.
	Warnings []string `json:"warnings,omitempty"`

	lines []string // the networks as text
}

// Network is a network of a configuration.
type Network struct {
	Name     string `json:"name"`
	Mode     string `json:"mode"`   // vpc or classic
	Attach   string `json:"attach"` // such as "bridge br0 vlan 10 (uplink eth1)"
	Guard    string `json:"guard"`  // full, arp or none; always none if the mode is classic
	Bindings int    `json:"bindings"`

	// Sources are the sources that the network follows, with what they have on this machine now.
	Sources []Source `json:"sources,omitempty"`

	// Findings says what on this machine differs from the configuration, such as an uplink that is no member of the bridge. It
	// is absent if there is nothing, and if the machine has none of the configuration's interfaces.
	Findings []string `json:"findings,omitempty"`
}

// Source is a source of a network.
type Source struct {
	Kind     string `json:"kind"`     // such as dnsmasq_leases
	Of       string `json:"of"`       // the path of the file, or the name of Docker's network
	Bindings int    `json:"bindings"` // that it has now

	// Error says why it can't be read here. It is absent if it can.
	Error string `json:"error,omitempty"`
}

// Datapath is how guests are answered, and their frames forwarded.
type Datapath struct {
	InForce string `json:"in_force"`     // kernel (eBPF programs, as far as they can) or user (the fabric itself)
	Why     string `json:"why,omitzero"` // why it is not kernel; absent if it is
}

// File checks a file, a pipe, or standard input if the path is [config.Stdin].
func File(path string) Result {
	r := Result{File: path, Networks: []Network{}, Problems: config.Problems{}}
	cfg, err := config.LoadOnce(path)
	if problems, ok := errors.AsType[config.Problems](err); ok {
		return Wrong(path, problems)
	}
	findings, _ := fabric.Inspect(cfg) // where interfaces cannot be read, there is nothing to compare with
	for _, n := range cfg.Networks {
		r.Networks = append(r.Networks, Network{
			Name: n.Name, Mode: string(n.Mode), Attach: n.Attach.String(), Guard: string(n.GuardInForce()),
			Bindings: n.Registry.Len(), Findings: findings[n.Name], Sources: sourcesOf(n),
		})
		r.lines = append(r.lines, n.Summary())
		for _, s := range r.Networks[len(r.Networks)-1].Sources {
			r.lines = append(r.lines, n.Name+": "+s.summary())
		}
		for _, finding := range findings[n.Name] {
			r.lines = append(r.lines, fmt.Sprintf("%s: warning: %s", n.Name, finding))
		}
	}
	r.Warnings = append(groupWarnings(cfg.API), pageWarnings(cfg.Page)...)
	if findings != nil {
		r.checkDatapath(cfg.Datapath)
	}
	for _, warning := range r.Warnings {
		r.lines = append(r.lines, "warning: "+warning)
	}
	return r
}

// sourcesOf reads the sources of a network.
func sourcesOf(n config.Network) (all []Source) {
	for _, c := range n.Sources {
		s := source.Open(context.Background(), c, slog.New(slog.DiscardHandler))
		s.Close()
		one := Source{Kind: string(c.Kind), Of: c.Of, Bindings: len(s.State().Leases)}
		if err := s.State().Err; err != nil {
			one.Error = err.Error()
		}
		all = append(all, one)
	}
	return all
}

// summary describes a source in one line.
func (s Source) summary() string {
	if s.Error != "" {
		return fmt.Sprintf("warning: the source %s of %s can't be read here: %s", s.Kind, s.Of, s.Error)
	}
	return fmt.Sprintf("source %s of %s, bindings now: %d", s.Kind, s.Of, s.Bindings)
}

// checkDatapath says which datapath this machine can have. Where it is not the one that is configured, this is a warning,
// because another user may have the privileges.
func (r *Result) checkDatapath(wanted config.Datapath) {
	c, err := choice.Of(wanted)
	if err != nil {
		r.Warnings = append(r.Warnings, err.Error())
		return
	}
	r.Datapath = &Datapath{InForce: string(c.InForce), Why: c.Why}
	line := "datapath " + r.Datapath.InForce
	if c.Why != "" {
		line += ": " + c.Why
	}
	r.lines = append(r.lines, line)
}

// Wrong is the result for a configuration with problems.
func Wrong(path string, problems config.Problems) Result {
	return Result{File: path, Networks: []Network{}, Problems: problems}
}

// pageWarnings says why the page would not be served here.
func pageWarnings(c config.Page) []string {
	if c.TokenFile == "" {
		return nil
	}
	if _, err := page.ReadToken(c.TokenFile); err != nil {
		return []string{fmt.Sprintf("page.token_file: %s; arpfabric does not serve the page without it", err)}
	}
	return nil
}

// groupWarnings names the groups of the API that this machine does not have. 'run' does not start without them.
func groupWarnings(c config.API) (warnings []string) {
	if c.Socket == "" {
		return nil
	}
	for _, key := range []struct{ name, group string }{{"api.group", c.Group}, {"api.writers", c.Writers}} {
		if _, err := strconv.Atoi(key.group); key.group == "" || err == nil {
			continue
		}
		if _, err := user.LookupGroup(key.group); err != nil {
			warnings = append(warnings, fmt.Sprintf("%s: there is no group %s on this machine; create the group, or change %s",
				key.name, key.group, key.name))
		}
	}
	return warnings
}

// OK reports whether the configuration has no mistake.
func (r Result) OK() bool { return len(r.Problems) == 0 }

// Print writes a line for each problem, or for each network and each of its findings. Every problem begins with the name of its file. If named is
// true, so does every network.
func (r Result) Print(w io.Writer, named bool) error {
	for _, p := range r.Problems {
		if _, err := fmt.Fprintln(w, p); err != nil {
			return err
		}
	}
	prefix := ""
	if named {
		prefix = r.File + ": "
	}
	for _, line := range r.lines {
		if _, err := fmt.Fprintln(w, prefix+line); err != nil {
			return err
		}
	}
	return nil
}
