package bpf

import (
	"errors"
	"fmt"
	"net"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The program is a classifier in the ingress qdisc of each port (tc-bpf(8)), which needs Linux 4.5 and no bpffs. It stays
// when the process ends, and goes with the port.
//
// tcx, which Linux has from 6.6 on, was tried: it makes no frame faster that could be measured, and waits for all
// processors at each port: 500 ports took 7 s, and take 0.3 s with classifiers.
const (
	programName = "arpfabric"
	priority    = 0xffff // after those of others: the kernel gives one without a priority 0xc000, or less
	filterID    = 1

	parent = netlink.HANDLE_MIN_INGRESS // of the classifiers for ingress, in both qdiscs that may have them
)

// The kinds of qdiscs that have classifiers for ingress. A program that wants some for egress, too, adds clsact.
const ingress, clsact = "ingress", "clsact"

// A place is what is attached to a port's ingress.
type place struct {
	qdisc     string             // kind of the qdisc
	block     uint32             // number of the block of classifiers that the port shares with other interfaces; or 0
	own       *netlink.BpfFilter // nil if there is none, of any process or version
	hasOthers bool               // others have classifiers there
}

// others returns only what others have attached. Two of these can be compared.
func (p place) others() place { return place{block: p.block, hasOthers: p.hasOthers} }

// A refusal is why a port can't have the program, with what others had attached there then.
type refusal struct {
	error
	others place
}

// has reports whether a program is attached.
func (p place) has(id ebpf.ProgramID) bool { return p.own != nil && p.own.Id == int(id) }

// places returns what is attached to the ports that have a qdisc for ingress, by ifindex. It does not look again at a port where
// this package's program was before, by known, and the qdisc is the same.
func places(known map[uint32]place) (map[uint32]place, error) {
	socket, err := netlink.NewHandle(unix.NETLINK_ROUTE) // one for all ports
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket: %w", err)
	}
	defer socket.Close()
	qdiscs, err := socket.QdiscList(nil)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("listing qdiscs over netlink: %w", err)
	}
	all := map[uint32]place{}
	for _, q := range qdiscs {
		if q.Type() != ingress && q.Type() != clsact {
			continue
		}
		index := uint32(q.Attrs().LinkIndex)
		if before := known[index]; before.own != nil && before.qdisc == q.Type() {
			all[index] = before
			continue
		}
		filters, err := socket.FilterList(linkOf(index), parent)
		if err != nil && !isGone(err) && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return nil, fmt.Errorf("listing the classifiers of %s over netlink: %w", nameOf(index), err)
		}
		at := placeOf(q.Type(), filters)
		if block := q.Attrs().IngressBlock; block != nil {
			at.block = *block
		}
		all[index] = at
	}
	return all, nil
}

func placeOf(qdisc string, filters []netlink.Filter) place {
	p := place{qdisc: qdisc}
	for _, f := range filters {
		if own, ok := f.(*netlink.BpfFilter); ok && own.Name == programName {
			p.own = own
		} else {
			p.hasOthers = true
		}
	}
	return p
}

// attach attaches a program to a port. If another of this package is there, the program takes its place in one step. It
// tries again if others delete the qdisc at the same moment.
func attach(port uint32, p *ebpf.Program) (err error) {
	for range 3 {
		// libvirt adds and deletes this qdisc, too, and not clsact. So both get along.
		if err := netlink.QdiscAdd(ingressQdisc(port)); err != nil && !errors.Is(err, unix.EEXIST) {
			return attachError(port, err, "the qdisc ingress (sch_ingress)")
		}
		err = netlink.FilterReplace(&netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{
				LinkIndex: int(port), Parent: parent, Handle: filterID, Priority: priority, Protocol: unix.ETH_P_ALL,
			},
			Fd: p.FD(), Name: programName, DirectAction: true,
		})
		if err == nil {
			return nil
		}
	}
	return attachError(port, err, "the classifier for eBPF (cls_bpf)")
}

func ingressQdisc(port uint32) *netlink.Ingress {
	return &netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: int(port), Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_INGRESS,
	}}
}

// attachError says which module the kernel lacks, or returns nil if the port is gone.
func attachError(port uint32, err error, module string) error {
	switch {
	case errors.Is(err, unix.ENODEV):
		return nil
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("attaching the eBPF program: this kernel has no module for %s", module)
	}
	return fmt.Errorf("attaching the eBPF program to %s: %w", nameOf(port), err)
}

// nameOf returns the name of a port, for people.
func nameOf(port uint32) string {
	if l, err := net.InterfaceByIndex(int(port)); err == nil {
		return l.Name
	}
	return fmt.Sprintf("the port with ifindex %d", port)
}

// attachAll attaches a program to the ports that lack it, and deletes them from found, which no longer fits. It returns the
// refusals of the ports that can't have it, such as one that shares its classifiers with other interfaces.
func attachAll(p *ebpf.Program, id ebpf.ProgramID, ports map[uint32]guardPort, found map[uint32]place) map[uint32]*refusal {
	refused := map[uint32]*refusal{}
	for index := range ports {
		at := found[index]
		if at.has(id) {
			continue
		}
		delete(found, index)
		if err := attach(index, p); err != nil {
			refused[index] = &refusal{err, at.others()}
		}
	}
	return refused
}

// detachAll removes the programs of this package, of any process and version, from all ports but some.
func detachAll(but map[uint32]guardPort, found map[uint32]place) error {
	var problems []error
	for index, at := range found {
		if _, stays := but[index]; stays || at.own == nil {
			continue
		}
		if err := detach(index, at); err != nil && !isGone(err) {
			problems = append(problems, fmt.Errorf("removing the eBPF program from %s: %w", nameOf(index), err))
		}
	}
	return errors.Join(problems...)
}

// detach removes the program from a port, with the qdisc if nobody else uses it.
func detach(port uint32, at place) error {
	if at.hasOthers || at.qdisc == clsact {
		return netlink.FilterDel(at.own)
	}
	return netlink.QdiscDel(ingressQdisc(port))
}

func linkOf(port uint32) netlink.Link {
	return &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: int(port)}}
}

// isGone reports whether an error says that an interface, or what was attached to it, does not exist.
func isGone(err error) bool { return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT) }
