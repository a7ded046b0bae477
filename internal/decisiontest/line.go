package decisiontest

import (
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// A line is a network or a case, in JSON.
type line struct {
	Network *networkText `json:",omitempty"`
	Case    *caseText    `json:",omitempty"`
}

func (l line) text() string {
	text, err := json.Marshal(l)
	if err != nil {
		panic(err) // no field can cause an error
	}
	return string(text)
}

type networkText struct {
	Bindings []bindingText
	Policy   policyText
}

type caseText struct {
	In    ingressText
	Frame string // in hexadecimal
}

// A bindingText has what matters to the decision.
type bindingText struct {
	Addresses, MAC string
	Port           string   `json:",omitempty"`
	Candidates     []string `json:",omitempty"`
	Routes         []string `json:",omitempty"`
}

// policyText and ingressText have the same fields as responder.Policy and responder.Ingress, or else they could not be
// converted. Their text leaves out those that are zero.
type policyText struct {
	AnySender        bool         `json:",omitzero"`
	IgnoreSelfProbe  bool         `json:",omitzero"`
	DenyMAC          registry.MAC `json:",omitzero"`
	UnknownToUplinks bool         `json:",omitzero"`
	PassIPv6         bool         `json:",omitzero"`
	OpenDHCP         bool         `json:",omitzero"`
	HostTunnels      bool         `json:",omitzero"`
	Gateway          netip.Addr   `json:",omitzero"`
	Host             []netip.Addr `json:",omitempty"`
}

type ingressText struct {
	Port        string             `json:",omitzero"`
	Kind        responder.PortKind `json:",omitzero"`
	Trunk       bool               `json:",omitzero"`
	RateLimited bool               `json:",omitzero"`
	AllowList   bool               `json:",omitzero"`
	HostMAC     registry.MAC       `json:",omitzero"`
	CarriesHost bool               `json:",omitzero"`
	Source      registry.MAC       `json:",omitzero"`
	Owner       registry.MAC       `json:",omitzero"`
}

func networkLine(r *registry.Registry, policy responder.Policy) string {
	n := networkText{Bindings: []bindingText{}, Policy: policyText(policy)}
	for b := range r.All() {
		text := bindingText{Addresses: b.Addresses(), MAC: b.MAC.String(), Port: b.Port}
		for mac := range b.Candidates.All() {
			text.Candidates = append(text.Candidates, mac.String())
		}
		for prefix := range b.Routes.All() {
			text.Routes = append(text.Routes, prefix.String())
		}
		n.Bindings = append(n.Bindings, text)
	}
	return line{Network: &n}.text()
}

func (n *networkText) parse(t testing.TB) Network {
	t.Helper()
	var bindings []registry.Binding
	for _, text := range n.Bindings {
		b := registrytest.Bind(text.Addresses, text.MAC)
		b.Port, b.Candidates, b.Routes = text.Port, registrytest.MACs(text.Candidates...), registrytest.Prefixes(text.Routes...)
		bindings = append(bindings, b)
	}
	return Network{Registry: registrytest.New(t, bindings...), Policy: responder.Policy(n.Policy)}
}

func caseLine(c Case) string {
	return line{Case: &caseText{ingressText(c.In), hex.EncodeToString(c.Frame)}}.text()
}

func (c *caseText) parse(t testing.TB) Case {
	t.Helper()
	frame, err := hex.DecodeString(c.Frame)
	if err != nil {
		t.Fatal(err)
	}
	return Case{responder.Ingress(c.In), frame}
}
