// Package decisiontest records in files the frames about which responder decides in tests. With the files, the test of another
// program that decides, such as one in the kernel, holds it to responder.
package decisiontest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// A Network decides from a registry, by a policy.
type Network struct {
	Registry *registry.Registry
	Policy   responder.Policy
	Cases    []Case // to decide about
}

// A Case is a frame, and how it enters.
type Case struct {
	In    responder.Ingress
	Frame []byte
}

// A File collects cases for a file, which has a line for each network, and below it a line for each of its cases. The zero
// File has none.
type File struct{ cases map[string][]string } // the lines of the cases by the line of their network

// Add adds a case.
func (f *File) Add(r *registry.Registry, policy responder.Policy, c Case) {
	if f.cases == nil {
		f.cases = map[string][]string{}
	}
	network := networkLine(r, policy)
	f.cases[network] = append(f.cases[network], caseLine(c))
}

// Check returns an error if the file at path does not have the same cases. With update, it writes the file instead.
func (f *File) Check(path string, update bool) error {
	if update {
		return os.WriteFile(path, f.text(), 0o644)
	}
	recorded, err := os.ReadFile(path)
	if err == nil && !bytes.Equal(recorded, f.text()) {
		err = fmt.Errorf("%s does not have the frames of the tests; write it again with -update", path)
	}
	return err
}

// text returns the contents of the file, which do not depend on the order in which the tests ran.
func (f *File) text() []byte {
	var b bytes.Buffer
	for _, network := range slices.Sorted(maps.Keys(f.cases)) {
		fmt.Fprintln(&b, network)
		for _, line := range slices.Compact(slices.Sorted(slices.Values(f.cases[network]))) {
			fmt.Fprintln(&b, line)
		}
	}
	return b.Bytes()
}

// Read reads a file.
func Read(t testing.TB, path string) []Network {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var networks []Network
	for text := range bytes.Lines(text) {
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if l.Network != nil {
			networks = append(networks, l.Network.parse(t))
			continue
		}
		last := &networks[len(networks)-1]
		last.Cases = append(last.Cases, l.Case.parse(t))
	}
	return networks
}
