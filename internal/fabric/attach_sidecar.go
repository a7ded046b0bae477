package fabric

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/responder"
)

// sidecarAttachment has one port, an interface of the network namespace that is the guest. What the guest asks comes
// from the host's stack; what others ask it comes in by the port.
type sidecarAttachment struct {
	network *network
	eth     *link.Link // the interface, or nil while there is none
}

func (a *sidecarAttachment) check(s link.Snapshot) error {
	name := a.network.config().Attach.Sidecar
	l, ok := s.Find(name)
	switch {
	case !ok:
		return fmt.Errorf("there is no interface %s; `ip link` lists those there are", name)
	case s.IsBridge(s.MasterOf(name)):
		return fmt.Errorf("%s is a member of the bridge %s, so this network namespace is no guest on it; "+
			"attach to the bridge instead", name, s.MasterOf(name))
	case !hasMAC(l):
		return fmt.Errorf("%s has no MAC, so there is no ARP on it; name an Ethernet interface", name)
	}
	return nil
}

// hasMAC reports whether l is an Ethernet interface; the loopback's MAC is all zeros.
func hasMAC(l link.Link) bool {
	return len(l.MAC) == len(responder.MAC{}) && responder.MAC(l.MAC).IsUnicast()
}

func (a *sidecarAttachment) follow(s link.Snapshot) ([]link.Link, error) {
	a.eth = nil
	l, ok := s.Find(a.network.config().Attach.Sidecar)
	if !ok || !hasMAC(l) {
		return nil, nil
	}
	a.eth = &l
	return []link.Link{l}, nil
}

func (a *sidecarAttachment) plan(*guard.Plan) {}

// guard says how the interface is guarded.
func (a *sidecarAttachment) guard() guard.Sidecar {
	c := a.network.config()
	return guard.Sidecar{
		Interface: a.eth.Name,
		Index:     a.eth.Index,
		MAC:       a.eth.MAC,
		Addresses: addressesOf(responder.MAC(a.eth.MAC), c.Registry),
		Observed:  !a.network.guarded(),
		ARPOnly:   c.Guard == config.GuardARP,
		PassIPv6:  c.Policy.PassIPv6,
		RateLimit: c.RateLimit,
	}
}

// addressesOf returns the addresses that are a MAC's.
func addressesOf(mac responder.MAC, r *responder.Registry) []guard.Range {
	var ranges []guard.Range
	for b := range r.Owners() {
		if b.MAC != mac {
			continue
		}
		if n := len(ranges); n > 0 && b.First == ranges[n-1].Last.Next() {
			ranges[n-1].Last = b.Last
			continue
		}
		ranges = append(ranges, guard.Range{First: b.First, Last: b.Last})
	}
	return ranges
}

// ownerBehind returns whose addresses are answered for on a port: on a sidecar's, the guest's alone.
func ownerBehind(a config.Attachment, l link.Link) (owner responder.MAC) {
	if a.Sidecar != "" {
		copy(owner[:], l.MAC)
	}
	return owner
}

// applySidecars brings the guard of the sidecars to what it should be.
func (f *Fabric) applySidecars() error {
	return f.sidecars.Apply(f.guardedSidecars(func(*network) bool { return true }))
}

// releaseSidecars removes the guard of the sidecars, but for what the configuration says to hold.
func (f *Fabric) releaseSidecars() error {
	return f.sidecars.Apply(f.guardedSidecars(func(n *network) bool { return n.config().OnStop == config.Hold }))
}

// sidecar returns the network's attachment if it is a sidecar whose interface is there, or nil.
func (n *network) sidecar() *sidecarAttachment {
	if a, ok := n.attachment.(*sidecarAttachment); ok && a.eth != nil {
		return a
	}
	return nil
}

// guardedSidecars says how the interfaces of some networks are guarded.
func (f *Fabric) guardedSidecars(of func(*network) bool) []guard.Sidecar {
	var all []guard.Sidecar
	for _, n := range f.networks {
		if a := n.sidecar(); a != nil && of(n) {
			all = append(all, a.guard())
		}
	}
	slices.SortFunc(all, func(x, y guard.Sidecar) int { return cmp.Compare(x.Interface, y.Interface) })
	return all
}
