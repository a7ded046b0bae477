package fabric

import (
	"cmp"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// PortCounts has a port and its counters.
type PortCounts struct {
	Network, Port string
	Kind          responder.PortKind
	Index         int                          // ifindex
	MAC           registry.MAC                 // MAC of the interface
	Verdicts      map[responder.Verdict]uint64 // number of frames by verdict, without zeros; Len is 0 in all verdicts

	// Refused is the number of frames of the port that were not on the guard's allow-list. The fabric sees samples of
	// these, and Verdicts counts only the samples.
	Refused uint64

	// LastSeen is when the port's last frame entered, of any kind; zero if there was none since the fabric started, and where
	// the fabric does not know.
	LastSeen time.Time

	// KernelCounted means that Refused is valid, and that Verdicts includes the frames that only the kernel has
	// counted.
	KernelCounted bool
}

// Reasons returns the number of frames by reason, without zeros.
func (c *PortCounts) Reasons() map[responder.Reason]uint64 {
	reasons := map[responder.Reason]uint64{}
	for verdict, n := range c.Verdicts {
		reasons[verdict.Reason] += n
	}
	return reasons
}

// GuestPorts returns the number of guest ports among ports, by network.
func GuestPorts(ports []PortCounts) map[string]int {
	guests := map[string]int{}
	for _, p := range ports {
		if p.Kind == responder.GuestPort {
			guests[p.Network]++
		}
	}
	return guests
}

// Counts returns the counters of all ports, sorted by network and name. The host's own requests on a bridge are counted
// under the name of the interface that the host sends them by: the bridge, or a VLAN device on top of it. The requests
// of a sidecar's guest are counted under the name of its interface, together with the requests of others for it.
//
// Only the kernel counts Refused, for the ports of bridges, and the reason RateLimited, for these and where a program answers. It
// counts by name since the guard was installed, even if a port is deleted and made again. These counters are missing with
// a TAP, and if they cannot be read.
func (f *Fabric) Counts() []PortCounts {
	var all []PortCounts
	ports := f.ports.Load().all()
	counted := f.countedByKernel(ports)
	counters, known := f.kernelCounters(counted)
	f.updateLastSeen()
	for _, p := range ports {
		c := p.read()
		if p.isSeen() {
			c.LastSeen = f.seen.of(p.link.Index)
		}
		if known && counted[p] {
			c.add(counters[p.link.Name])
			c.KernelCounted = p.network.config().Attach.Kind != config.AttachSidecar // what its guard refuses is not counted
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b PortCounts) int {
		return cmp.Or(cmp.Compare(a.Network, b.Network), cmp.Compare(a.Port, b.Port))
	})
	return mergeSame(all)
}

// read returns the port with the fabric's own counters.
func (p *port) read() PortCounts {
	c := PortCounts{
		Network: p.network.config().Name, Port: p.link.Name, Kind: p.in.Kind, Index: p.link.Index, MAC: macOf(p.link),
		Verdicts: map[responder.Verdict]uint64{},
	}
	for reason := range p.counts {
		for action := range p.counts[reason] {
			if n := p.counts[reason][action].Load(); n > 0 {
				c.Verdicts[responder.Verdict{Action: responder.Action(action), Reason: responder.Reason(reason)}] = n
			}
		}
	}
	return c
}

// countedByKernel returns the ports of which the kernel may have dropped or answered frames without handing them to the fabric.
func (f *Fabric) countedByKernel(ports []*port) map[*port]bool {
	counted := map[*port]bool{}
	hasProgram := f.datapath.Program() != nil
	for _, p := range ports {
		attach := p.network.config().Attach
		mayHaveProgram := attach.Kind == config.AttachInterface || attach.Kind == config.AttachSidecar
		isSeen := attach.SeesPorts() || mayHaveProgram && hasProgram
		if p.in.Kind == responder.GuestPort && isSeen {
			counted[p] = true
		}
	}
	return counted
}

// kernelCounters returns the kernel's counters of ports. It returns false if ports is empty, or if it cannot read the
// counters.
func (f *Fabric) kernelCounters(ports map[*port]bool) (map[string]datapath.Counters, bool) {
	if len(ports) == 0 {
		return nil, false
	}
	counters, err := f.datapath.Counters()
	if err != nil {
		f.log.Error("cannot read how many frames the guard has dropped", "error", err)
	}
	return counters, err == nil
}

func (c *PortCounts) add(k datapath.Counters) {
	c.KernelCounted = true
	c.Refused += k.Refused
	for reason, n := range k.Dropped {
		c.Verdicts[responder.Verdict{Action: responder.Drop, Reason: reason}] += n
	}
	for verdict, n := range k.Handled {
		c.Verdicts[verdict] += n
	}
}

// mergeSame adds up the counters of the same port of the same network. all is sorted.
func mergeSame(all []PortCounts) []PortCounts {
	var sums []PortCounts
	for _, c := range all {
		n := len(sums)
		if n == 0 || sums[n-1].Network != c.Network || sums[n-1].Port != c.Port {
			sums = append(sums, c)
			continue
		}
		sums[n-1].Refused += c.Refused
		sums[n-1].KernelCounted = sums[n-1].KernelCounted || c.KernelCounted
		for verdict, count := range c.Verdicts {
			sums[n-1].Verdicts[verdict] += count
		}
	}
	return sums
}
