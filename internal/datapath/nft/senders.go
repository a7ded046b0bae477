package nft

import (
	"iter"
	"maps"
	"net/netip"
	"slices"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// allowedSenders are the owners of bindings that may send from a network's guest ports: all in its registry except the
// host itself.
type allowedSenders struct {
	registry *registry.Registry // nil for none
	hosts    string             // the host's MACs, concatenated; a string, so that == compares allowedSenders
}

func (n network) allowedSenders() allowedSenders {
	a := allowedSenders{registry: n.Registry}
	for _, mac := range n.Host {
		a.hosts += string(mac[:])
	}
	return a
}

// bindings returns the registry, which may be empty.
func (a allowedSenders) bindings() *registry.Registry {
	if a.registry == nil {
		return &registry.Registry{}
	}
	return a.registry
}

// hasRun reports whether the registry has the same run, with the same owner.
func (a allowedSenders) hasRun(run registry.Binding) bool {
	same, ok := a.bindings().Run(run.First)
	return ok && same.Last == run.Last && same.First == run.First && same.MAC == run.MAC && same.Port == run.Port
}

// eachHost yields the host's MACs.
func (a allowedSenders) eachHost() iter.Seq[registry.MAC] {
	return func(yield func(registry.MAC) bool) {
		for hosts := a.hosts; len(hosts) > 0; hosts = hosts[len(registry.MAC{}):] {
			if !yield(registry.MAC([]byte(hosts[:len(registry.MAC{})]))) {
				return
			}
		}
	}
}

func (a allowedSenders) isHost(mac registry.MAC) bool {
	for host := range a.eachHost() {
		if host == mac {
			return true
		}
	}
	return false
}

// A sendersChange says how the sets of bindings have to change.
type sendersChange struct {
	before, after allowedSenders
	difference    registry.Difference
}

func newSendersChange(before, after allowedSenders) sendersChange {
	return sendersChange{before, after, registry.Diff(before.bindings(), after.bindings())}
}

// removed yields the elements to delete from the sets of bindings, each with the prefix of its set's name.
func (c sendersChange) removed() iter.Seq2[string, element] {
	return c.before.elements(c.difference, c.difference.Removed(), c.after)
}

// added yields the elements to add, as removed does.
func (c sendersChange) added() iter.Seq2[string, element] {
	return c.after.elements(c.difference, c.difference.Added(), c.before)
}

// elements yields the elements that follow from a and do not follow from other. d is the difference between their
// registries, and runs yields the runs that a's has and other's lacks.
func (a allowedSenders) elements(d registry.Difference, runs iter.Seq[registry.Binding], other allowedSenders) iter.Seq2[string, element] {
	return func(yield func(string, element) bool) {
		changed := a.changedSenders(d, runs, other)
		for b := range runs {
			if !a.isHost(b.MAC) && !yieldElements(b, yield) {
				return
			}
		}
		for b := range a.noLongerHosts(other) {
			if !yieldElements(b, yield) {
				return
			}
		}
		for mac := range changed {
			for of, e := range a.senderElements(mac, other) {
				if !yield(of, e) {
					return
				}
			}
		}
		a.missingRoutes(other)(yield)
	}
}

// noLongerHosts yields the runs in both registries whose MAC is the host's in other and not in a.
func (a allowedSenders) noLongerHosts(other allowedSenders) iter.Seq[registry.Binding] {
	return func(yield func(registry.Binding) bool) {
		if a.hosts == other.hosts {
			return
		}
		for b := range a.bindings().Owners() {
			if a.isHost(b.MAC) || !other.isHost(b.MAC) || !other.hasRun(b) {
				continue
			}
			if !yield(b) {
				return
			}
		}
	}
}

// missingRoutes yields the elements for routes that follow from a and do not follow from other.
func (a allowedSenders) missingRoutes(other allowedSenders) iter.Seq2[string, element] {
	type ofSet struct {
		of string
		element
	}
	return func(yield func(string, element) bool) {
		theirs := map[ofSet]bool{}
		for of, e := range other.routeElements() {
			theirs[ofSet{of, e}] = true
		}
		for of, e := range a.routeElements() {
			if !theirs[ofSet{of, e}] && !yield(of, e) {
				return
			}
		}
	}
}

// routeElements yields the elements for all routes, of which there are few.
func (a allowedSenders) routeElements() iter.Seq2[string, element] {
	return func(yield func(string, element) bool) {
		for r := range a.bindings().Routes() {
			of := ofPortRoutes
			if r.Port == "" {
				of = ofRoutes
			}
			if !a.isHost(r.MAC) && !yield(of, routeElementOf(r)) {
				return
			}
		}
		for r := range a.bindings().RoutesTo() {
			if !a.isHost(r.MAC) && !yield(ofRoutesTo, routeElementOf(r)) {
				return
			}
		}
	}
}

// changedSenders yields the MACs of a whose ports may differ in other: those with a run that other lacks, those that
// differ by more than their runs, and those that are the host's in other.
func (a allowedSenders) changedSenders(d registry.Difference, runs iter.Seq[registry.Binding], other allowedSenders) iter.Seq[registry.MAC] {
	if other.bindings().Len() == 0 {
		return a.bindings().MACs() // all of them, without the memory for a map
	}
	changed := map[registry.MAC]bool{}
	for b := range runs {
		changed[b.MAC] = true
	}
	for mac := range d.ListedMACs() {
		changed[mac] = true
	}
	for mac := range other.eachHost() {
		changed[mac] = true
	}
	return maps.Keys(changed)
}

// senderElements yields the elements for a MAC, without an address, that follow from a and do not follow from other.
func (a allowedSenders) senderElements(mac registry.MAC, other allowedSenders) iter.Seq2[string, element] {
	return func(yield func(string, element) bool) {
		ports, others := a.portsOf(mac), other.portsOf(mac)
		for _, port := range ports {
			if !slices.Contains(others, port) && !yield(senderElementOf(mac, port)) {
				return
			}
		}
		if namesPort(ports) && !namesPort(others) {
			yield(ofBoundMACs, element{key: string(mac[:])})
		}
	}
}

// portsOf returns the ports that a MAC's bindings name, with "" for bindings that name none.
func (a allowedSenders) portsOf(mac registry.MAC) []string {
	if a.isHost(mac) {
		return nil
	}
	return slices.Collect(a.bindings().PortsOf(mac))
}

// namesPort reports whether one of the ports is not "".
func namesPort(ports []string) bool {
	return slices.ContainsFunc(ports, func(port string) bool { return port != "" })
}

// yieldElements yields the elements for a run of addresses. One that names a port has a second element without the port,
// because others may send to it from any port.
func yieldElements(b registry.Binding, yield func(string, element) bool) bool {
	if !yield(elementOf(b)) {
		return false
	}
	if b.Port == "" {
		return true
	}
	of := ofBoundBindings
	if b.First != b.Last {
		of = ofBoundRanges
	}
	b.Port = ""
	_, e := elementOf(b)
	return yield(of, e)
}

// elementOf returns the element for a run of addresses, and the prefix of its set's name.
func elementOf(b registry.Binding) (of string, e element) {
	single := b.First == b.Last
	switch {
	case b.Port == "" && single:
		of = ofBindings
	case b.Port == "":
		of = ofRanges
	case single:
		of = ofPortBindings
	default:
		of = ofPortRanges
	}
	sender := senderKey(b.MAC, b.Port)
	e.key = sender + addrKey(b.First)
	if !single {
		e.last = sender + addrKey(b.Last)
	}
	return of, e
}

func routeElementOf(r registry.Route) element {
	sender := senderKey(r.MAC, r.Port)
	return element{key: sender + addrKey(r.First), last: sender + addrKey(r.Last)}
}

// senderElementOf returns the element for a MAC on a port, or on any port if port is "", and the prefix of its set's
// name.
func senderElementOf(mac registry.MAC, port string) (of string, e element) {
	if port == "" {
		return ofMACs, element{key: string(mac[:])}
	}
	return ofPortMACs, element{key: senderKey(mac, port)}
}

// senderKey returns the start of a key: the port, if there is one, and the MAC, each padded to words of 4 bytes.
func senderKey(mac registry.MAC, port string) string {
	key := string(mac[:]) + "\x00\x00"
	if port != "" {
		key = portKey(port) + key
	}
	return key
}

func addrKey(addr netip.Addr) string {
	b := addr.As4()
	return string(b[:])
}
