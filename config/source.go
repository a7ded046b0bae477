package config

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/arpfabric/arpfabric/responder/registry"
	"gopkg.in/yaml.v3"
)

// decode reads a registry: addresses, each with a MAC or a mapping, and MACs, each with a mapping.
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
	if isMAC(p.key) {
		raw.decodeAlone(r, p)
		return
	}
	switch p.value.Kind {
	case yaml.ScalarNode:
		raw.place = p.place
		raw.MAC.decode(r, p.value, p.place)
	case yaml.MappingNode:
		r.decode(p.value, p.place, reflect.ValueOf(raw).Elem())
	default:
		r.refuse(p.value, p.place, "a MAC, or a mapping with the keys mac, macs, name, port and routes")
		raw.broken = true
	}
	raw.key = value{p.place, p.key}
}

// isMAC reports whether a key is a MAC. It tells quickly that nearly all addresses are none.
func isMAC(key string) bool {
	const shortest, longest = len("0200.06de.54a8"), len("02:00:06:de:54:a8")
	if len(key) < shortest || len(key) > longest {
		return false
	}
	_, err := registry.ParseMAC(key)
	return err == nil
}

func (raw *rawBinding) decodeAlone(r *report, p pair) {
	var alone rawAlone
	if isMapping(p.value) {
		r.decode(p.value, p.place, reflect.ValueOf(&alone).Elem())
	} else {
		r.refuse(p.value, p.place, "{}, or a mapping with the keys name, port and routes, for a guest without an address "+
			"(to bind an address, write the address first, then its MAC)")
		alone.place, alone.broken = p.place, true
	}
	key := value{p.place, p.key}
	*raw = rawBinding{place: alone.place, isAlone: true, key: key, MAC: key, Name: alone.Name, Port: alone.Port, Routes: alone.Routes}
}

// registry builds a network's registry. If it cannot, it reports why and returns nil.
func (c *converter) registry(n *Network, raw *rawNetwork) *registry.Registry {
	s := &source{converter: c, network: n, raw: raw, files: map[string]value{}}
	s.readHosts()
	bindings, err := registry.New(s.bindings())
	var wrong registry.BindingErrors
	if errors.As(err, &wrong) {
		s.addBindingErrors(wrong)
	}
	switch {
	case s.incomplete || raw.broken: // the missing binding may be one that could not be read
	case !s.any && s.mayBeEmpty():
	case !s.any:
		c.add(raw.place, "no bindings: write them under registry, list ethers files under registry_files, "+
			"follow a DHCP server's leases under sources, or set allow_empty: true if nothing is to be bound but what 'arpfabric allocate' allocates")
	case n.Gateway.IsValid() && !s.gatewayBound && !s.mayHaveGateway():
		c.add(raw.Gateway.place, "%s has no binding, so guests cannot reach the gateway", n.Gateway)
	}
	return bindings
}

// A source reads a network's bindings: first those in the YAML file, then those in its ethers files.
type source struct {
	*converter
	network *Network
	raw     *rawNetwork
	files   map[string]value // the entries that name files, by path
	hosts   hosts            // the names in hosts_files

	any          bool // there is a binding
	incomplete   bool // a binding has invalid addresses, or a file could not be read; this has been reported
	gatewayBound bool // the gateway has a binding
}

// bindings streams the bindings, so that a large registry is never in memory twice.
func (s *source) bindings() iter.Seq[registry.Binding] {
	return func(yield func(registry.Binding) bool) {
		for i := range s.raw.Registry {
			binding, ok := s.fromYAML(&s.raw.Registry[i])
			if ok && !yield(s.record(binding)) {
				return
			}
		}
		for _, file := range s.registryFiles() {
			for binding := range s.fromFile(file) {
				if !yield(s.record(binding)) {
					return
				}
			}
		}
	}
}

// mayBeEmpty reports whether the files need no binding.
func (s *source) mayBeEmpty() bool { return s.raw.AllowEmpty.text == "true" || len(s.raw.Sources) > 0 }

// mayHaveGateway reports whether a source may bind the gateway.
func (s *source) mayHaveGateway() bool {
	return slices.ContainsFunc(s.raw.Sources, func(one rawSource) bool { return one.Docker.written() })
}

// record records that there is a binding, and whether it has the gateway. It returns the binding.
func (s *source) record(b registry.Binding) registry.Binding {
	s.any = true
	gateway := s.network.Gateway
	if gateway.IsValid() && !gateway.Less(b.First) && !b.Last.Less(gateway) {
		s.gatewayBound = true
	}
	return b
}

// fromYAML converts one key of the registry to a binding. It returns false if the key is invalid. If another
// field is invalid, it returns the binding all the same, so that its conflicts with others are reported in the same
// run.
func (s *source) fromYAML(raw *rawBinding) (registry.Binding, bool) {
	mac, candidates, hasMAC := s.owner(raw)
	b := registry.Binding{
		MAC:        mac,
		Candidates: candidates,
		Name:       raw.Name.text,
		Port:       s.port(raw),
		Routes:     s.routes(raw),
		Origin:     registry.Origin{Source: s.file, Line: raw.key.line},
	}
	if raw.isAlone {
		s.incomplete = s.incomplete || !hasMAC
		return b, hasMAC
	}
	var err error
	if b.First, b.Last, err = parseAddresses(raw.key.text); err == nil {
		err = s.checkInSubnet(b)
	} else if looksLikeMAC(raw.key.text) {
		err = fmt.Errorf("%s is neither an IPv4 address nor a MAC", quote(raw.key.text))
	}
	if err != nil {
		s.add(raw.key.place, "%s", err)
		s.incomplete = true
	}
	return b, err == nil
}

// owner returns the MAC of a binding, and the MACs that it lists if its addresses may move between several. If they are
// invalid, it returns DenyMAC, which is as good as any valid MAC, and false.
func (s *source) owner(raw *rawBinding) (mac registry.MAC, candidates registry.MACs, ok bool) {
	switch {
	case raw.MAC.written() && raw.MACs != nil:
		s.add(raw.place, "mac and macs exclude each other: write macs for an address that moves between several guests")
	case raw.MACs != nil:
		return s.candidates(raw)
	case raw.MAC.written():
		mac, ok = s.mac(raw.MAC)
		return mac, candidates, ok
	case !raw.broken:
		s.add(raw.place, "mac is missing")
	}
	return DenyMAC, candidates, false
}

// candidates returns the first of the MACs that a binding lists, which holds the addresses at first, and all of them.
func (s *source) candidates(raw *rawBinding) (registry.MAC, registry.MACs, bool) {
	var list []registry.MAC
	for _, v := range raw.MACs {
		mac, ok := s.mac(v)
		if ok && slices.Contains(list, mac) {
			s.add(v.place, "%s is listed twice", mac)
			ok = false
		}
		if ok {
			list = append(list, mac)
		}
	}
	if len(raw.MACs) < 2 {
		s.add(raw.place, "macs needs two MACs or more: for one, write mac")
	}
	if len(list) < 2 {
		return DenyMAC, registry.MACs{}, false
	}
	return list[0], registry.MACsOf(list...), true
}

// mac parses a MAC. If it is invalid, mac reports that, and returns DenyMAC and false.
func (s *source) mac(v value) (registry.MAC, bool) {
	if !v.readable() {
		return DenyMAC, false
	}
	mac, err := registry.ParseMAC(v.text)
	if err == nil && !mac.IsUnicast() {
		err = fmt.Errorf("%s is not a unicast MAC (it is zero, broadcast or multicast)", mac)
	}
	if err != nil {
		s.add(v.place, "%s", err)
		return DenyMAC, false
	}
	return mac, true
}

// looksLikeMAC reports whether a key is more likely a mistyped MAC than a mistyped address.
func looksLikeMAC(key string) bool {
	_, err := netip.ParseAddr(key)
	return err != nil && strings.Contains(key, ":") && !strings.Contains(key, "/")
}

// port returns the port that a binding names. Only a bridge has more than one.
func (s *source) port(raw *rawBinding) string {
	if !raw.Port.readable() || s.raw.Attach == nil || s.raw.Attach.forms() == 0 {
		return ""
	}
	if !s.raw.Attach.Bridge.written() {
		s.add(raw.Port.place, "port needs attach.bridge: on other attachments all guests are behind the same port")
		return ""
	}
	return s.use(s.raw, raw.Port, asPort)
}

// routes returns the routes of a binding.
func (s *source) routes(raw *rawBinding) registry.Prefixes {
	var list []netip.Prefix
	for _, v := range raw.Routes {
		if !v.readable() {
			continue
		}
		prefix, err := parsePrefix(v.text)
		if err != nil {
			s.add(v.place, "%s", err)
			continue
		}
		list = append(list, prefix)
	}
	return registry.PrefixesOf(list...)
}

func (s *source) checkInSubnet(b registry.Binding) error {
	if !s.network.Subnet.IsValid() {
		return nil
	}
	return checkInSubnet(s.network.Subnet, b.First, b.Last)
}

// addBindingErrors reports the registry's errors, with the keys and lines of the bindings.
func (s *source) addBindingErrors(wrong registry.BindingErrors) {
	type written struct {
		line        int
		first, last netip.Addr
		alone       registry.MAC // zero for a binding of addresses
	}
	keys := map[written]string{}
	for _, raw := range s.raw.Registry {
		if raw.isAlone {
			mac, _ := registry.ParseMAC(raw.key.text)
			keys[written{line: raw.key.line, alone: mac}] = raw.key.path
		} else if first, last, err := parseAddresses(raw.key.text); err == nil {
			keys[written{line: raw.key.line, first: first, last: last}] = raw.key.path
		}
	}
	for _, e := range wrong {
		from := e.Binding.Origin
		key := written{line: from.Line, first: e.Binding.First, last: e.Binding.Last}
		if e.Binding.IsAlone() {
			key.alone = e.Binding.MAC
		}
		path := keys[key]
		if entry, ok := s.files[from.Source]; ok {
			path = entry.path
		}
		s.problems = append(s.problems, Problem{from.Source, from.Line, path, e.Problem})
	}
}
