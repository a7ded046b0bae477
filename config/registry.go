package config

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"reflect"

	"gopkg.in/yaml.v3"

	"github.com/arpfabric/arpfabric/responder"
)

// decode reads a registry: addresses, with a MAC or a mapping under each.
func (raw *rawRegistry) decode(r *report, n *yaml.Node, at place) bool {
	if !isMapping(n) {
		r.refuse(n, at, "a mapping of addresses to MACs")
		return false
	}
	pairs := r.pairs(n, at)
	*raw = make(rawRegistry, len(pairs))
	for i, pair := range pairs {
		(*raw)[i].decodePair(r, pair)
	}
	return true
}

func (raw *rawBinding) decodePair(r *report, p pair) {
	switch p.value.Kind {
	case yaml.ScalarNode:
		raw.place = p.place
		raw.MAC.decode(r, p.value, p.place)
	case yaml.MappingNode:
		r.decode(p.value, p.place, reflect.ValueOf(raw).Elem())
	default:
		r.refuse(p.value, p.place, "a MAC, or a mapping with the keys mac, name and port")
		raw.broken = true
	}
	raw.addresses = value{p.place, p.key}
}

// registry builds a network's registry. It returns nil, and reports why, where there can't be one.
func (c *converter) registry(n *Network, raw *rawNetwork) *responder.Registry {
	s := &source{converter: c, network: n, raw: raw, files: map[string]value{}}
	registry, err := responder.NewRegistry(s.bindings())
	var wrong responder.BindingErrors
	if errors.As(err, &wrong) {
		s.addBindingErrors(wrong)
	}
	switch {
	case s.incomplete || raw.broken: // what is missing may be what could not be read
	case !s.any && s.mayBeEmpty():
	case !s.any:
		c.add(raw.place, "there is no binding: write them under registry, name ethers files under registry_files, "+
			"or, if no guest is to be answered, say allow_empty: true")
	case n.Gateway.IsValid() && !s.gatewayBound:
		c.add(raw.Gateway.place, "%s has no binding, so no guest could reach the gateway", n.Gateway)
	}
	return registry
}

// A source is where a network's bindings come from: its mapping in the YAML file, then its ethers files.
type source struct {
	*converter
	network *Network
	raw     *rawNetwork
	files   map[string]value // the entries of registry_files by the path that they stand for

	any          bool // there was a binding
	incomplete   bool // there was one with addresses that can't be; it has been reported
	gatewayBound bool // there was one for the gateway
}

// bindings streams the bindings: a large registry is never in memory twice.
func (s *source) bindings() iter.Seq[responder.Binding] {
	return func(yield func(responder.Binding) bool) {
		for i := range s.raw.Registry {
			binding, ok := s.fromYAML(&s.raw.Registry[i])
			if ok && !yield(s.seen(binding)) {
				return
			}
		}
		for _, file := range s.raw.RegistryFiles {
			for binding := range s.fromFile(file) {
				if !yield(s.seen(binding)) {
					return
				}
			}
		}
	}
}

func (s *source) mayBeEmpty() bool { return s.raw.AllowEmpty.text == "true" }

func (s *source) seen(b responder.Binding) responder.Binding {
	s.any = true
	gateway := s.network.Gateway
	if gateway.IsValid() && !gateway.Less(b.First) && !b.Last.Less(gateway) {
		s.gatewayBound = true
	}
	return b
}

// fromYAML makes a binding of one key of the registry. It returns false if the key is wrong. If something
// else is, the binding still goes on, to be held against the others, though no registry will come of it.
func (s *source) fromYAML(raw *rawBinding) (responder.Binding, bool) {
	b := responder.Binding{
		MAC:    s.mac(raw),
		Name:   raw.Name.text,
		Port:   s.port(raw),
		Origin: responder.Origin{File: s.file, Line: raw.addresses.line},
	}
	var err error
	if b.First, b.Last, err = parseAddresses(raw.addresses.text); err == nil {
		err = s.checkInSubnet(b)
	}
	if err != nil {
		s.add(raw.addresses.place, "%s", err)
		s.incomplete = true
	}
	return b, err == nil
}

// mac returns the MAC of a binding, or DenyMAC, which is as good as any, where that is wrong.
func (s *source) mac(raw *rawBinding) responder.MAC {
	if !raw.MAC.written() && !raw.broken {
		s.add(raw.place, "there is no mac")
	}
	if !raw.MAC.readable() {
		return DenyMAC
	}
	mac, err := responder.ParseMAC(raw.MAC.text)
	if err == nil && !mac.IsUnicast() {
		err = fmt.Errorf("%s is not the MAC of one host (it is zero, broadcast or multicast)", mac)
	}
	if err != nil {
		s.add(raw.MAC.place, "%s", err)
		return DenyMAC
	}
	return mac
}

// port returns the port that a binding names. Only a bridge has more than one.
func (s *source) port(raw *rawBinding) string {
	if !raw.Port.readable() || s.raw.Attach == nil || s.raw.Attach.forms() == 0 {
		return ""
	}
	if !s.raw.Attach.Bridge.written() {
		s.add(raw.Port.place, "a binding can name a port only where its network has attach.bridge: "+
			"elsewhere all guests are behind the same one")
		return ""
	}
	return s.claim(s.raw, raw.Port, asPort)
}

func (s *source) checkInSubnet(b responder.Binding) error {
	if !s.network.Subnet.IsValid() {
		return nil
	}
	return checkInSubnet(s.network.Subnet, b.First, b.Last)
}

// addBindingErrors reports what the registry found, at the keys and lines that the bindings came from.
func (s *source) addBindingErrors(wrong responder.BindingErrors) {
	type written struct {
		line        int
		first, last netip.Addr
	}
	keys := map[written]string{}
	for _, raw := range s.raw.Registry {
		if first, last, err := parseAddresses(raw.addresses.text); err == nil {
			keys[written{raw.addresses.line, first, last}] = raw.addresses.path
		}
	}
	for _, e := range wrong {
		from := e.Binding.Origin
		path := keys[written{from.Line, e.Binding.First, e.Binding.Last}]
		if entry, ok := s.files[from.File]; ok {
			path = entry.path
		}
		s.problems = append(s.problems, Problem{from.File, from.Line, path, e.Problem})
	}
}
