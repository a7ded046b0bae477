package bpf

import (
	"errors"
	"fmt"
	"slices"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/cilium/ebpf"
	ebpflink "github.com/cilium/ebpf/link"
	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// loopback is the ifindex of the loopback interface, at whose egress the program for the requests of sidecars' guests is. It
// is the same in each network namespace, and nobody can delete the interface. Whether it is up does not matter.
const loopback = 1

// addSidecar adds a sidecar's interface.
func (d *Datapath) addSidecar(c *contents, sidecar datapath.Sidecar, s link.Snapshot) {
	if isAnswered(sidecar.Network) {
		d.addInterface(c, sidecar.Network, s, true)
	}
}

// isSidecar reports whether an interface in the maps is that of a sidecar.
func (c contents) isSidecar(index int) bool { return c.ports[uint32(index)].IsSidecar }

func (c contents) hasSidecars() bool {
	for index := range c.ports {
		if c.isSidecar(int(index)) {
			return true
		}
	}
	return false
}

// forBeneath returns a plan in which the guests' own requests go to the program, where it is attached.
func (d *Datapath) forBeneath(p datapath.Plan) datapath.Plan {
	p.Sidecars = slices.Clone(p.Sidecars)
	for i := range p.Sidecars {
		if d.refused[loopback] == nil && d.have.isSidecar(p.Sidecars[i].Index) {
			p.Sidecars[i].Answerer = loopback
		}
	}
	return p
}

// losesSidecars reports whether the program answers the guest of a sidecar, and is not to do so by a plan.
func (d *Datapath) losesSidecars(p datapath.Plan) bool {
	for index := range d.have.ports {
		stays := slices.ContainsFunc(p.Sidecars, func(s datapath.Sidecar) bool {
			return s.Index == int(index) && isAnswered(s.Network)
		})
		if d.have.isSidecar(int(index)) && !stays {
			return true
		}
	}
	return false
}

// followSidecars attaches the program for the guests' own requests if there are sidecars, and removes it otherwise.
func (d *Datapath) followSidecars(want contents) error {
	if !want.hasSidecars() {
		return detachOwnRequests()
	}
	at, err := ownRequestsPath()
	if err != nil || d.answersGuests(at) {
		return err
	}
	if err := attachOwnRequests(d.program.OwnRequests, at); err != nil {
		d.refused[loopback] = &refusal{err, at.others()}
	}
	return nil
}

// answersGuests reports whether the program for the guests' own requests is attached, alone: a request that others drop or let
// pass there, nobody would answer.
func (d *Datapath) answersGuests(at place) bool {
	return at.has(idOf(d.program.OwnRequests)) && !at.hasOthers
}

// isIntactForGuests reports whether the program for the guests' own requests is attached if there are sidecars, or can't be,
// because of the same others as before.
func (d *Datapath) isIntactForGuests() bool {
	if !d.have.hasSidecars() {
		return true
	}
	at, err := ownRequestsPath()
	if err != nil {
		return true // as long as it can't find out
	}
	if r := d.refused[loopback]; r != nil {
		return at.others() == r.others
	}
	return d.answersGuests(at)
}

// ownRequestsPath returns what the guests' own requests meet at the egress of the loopback interface: what is attached there,
// and others that tc does not show.
func ownRequestsPath() (place, error) {
	at, err := ownRequestsPlace()
	at.hasOthers = at.hasOthers || hasTCX() || hasOthersTables(nftables.TableFamilyNetdev)
	return at, err
}

// hasTCX reports whether programs are attached with tcx to the egress of the loopback interface. There is no tcx before
// Linux 6.6, and asking for it is an error.
func hasTCX() bool {
	found, err := ebpflink.QueryPrograms(ebpflink.QueryOptions{Target: loopback, Attach: ebpf.AttachTCXEgress})
	return err == nil && len(found.Programs) > 0
}

// ownRequestsPlace returns what is attached to the egress of the loopback interface.
func ownRequestsPlace() (place, error) {
	qdiscs, err := netlink.QdiscList(linkOf(loopback))
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return place{}, fmt.Errorf("listing the qdiscs of %s over netlink: %w", nameOf(loopback), err)
	}
	hasKind := func(kind string) bool {
		return slices.ContainsFunc(qdiscs, func(q netlink.Qdisc) bool { return q.Type() == kind })
	}
	if !hasKind(clsact) {
		return place{hasOthers: hasKind(ingress)}, nil // a device has only one of the two, and ingress has no egress
	}
	filters, err := netlink.FilterList(linkOf(loopback), netlink.HANDLE_MIN_EGRESS)
	if err != nil && !isGone(err) && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return place{}, fmt.Errorf("listing the classifiers of %s over netlink: %w", nameOf(loopback), err)
	}
	return placeOf(clsact, filters), nil
}

// attachOwnRequests attaches the program for the guests' own requests, in one step if another of this package is there. It
// returns an error if others use that place.
func attachOwnRequests(p *ebpf.Program, at place) error {
	if at.hasOthers {
		return fmt.Errorf("others use tc or tcx at egress of %s, or have tables of nftables' family netdev", nameOf(loopback))
	}
	if err := netlink.QdiscAdd(clsactQdisc()); err != nil && !errors.Is(err, unix.EEXIST) {
		return attachError(loopback, err, "the qdisc clsact (sch_ingress)")
	}
	err := netlink.FilterReplace(&netlink.BpfFilter{
		// Only for ARP, so that the kernel does not call the program for IP of the namespace's programs.
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: loopback, Parent: netlink.HANDLE_MIN_EGRESS, Handle: filterID, Priority: priority, Protocol: unix.ETH_P_ARP,
		},
		Fd: p.FD(), Name: programName, DirectAction: true,
	})
	if err != nil {
		return attachError(loopback, err, "the classifier for eBPF (cls_bpf)")
	}
	return nil
}

// detachOwnRequests removes that program, of any process and version, with the qdisc if nobody else uses it.
func detachOwnRequests() error {
	at, err := ownRequestsPlace()
	if err != nil || at.own == nil {
		return err
	}
	if at.hasOthers || hasIngressClassifiers() {
		err = netlink.FilterDel(at.own)
	} else {
		err = netlink.QdiscDel(clsactQdisc())
	}
	if err != nil && !isGone(err) {
		return fmt.Errorf("removing the eBPF program from %s: %w", nameOf(loopback), err)
	}
	return nil
}

// hasIngressClassifiers reports whether others use the ingress of the loopback interface. It returns true if it can't find
// out.
func hasIngressClassifiers() bool {
	filters, err := netlink.FilterList(linkOf(loopback), parent)
	return err != nil || len(filters) > 0
}

func clsactQdisc() *netlink.Clsact {
	return &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: loopback, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
}
