package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The program is a classifier in the ingress qdisc of each port (tc-bpf(8)), which needs Linux 4.5 and no bpffs. It stays
// when the process ends, and goes with the port.
//
// tcx, which Linux has from 6.6 on, was tried: it makes no frame faster that could be measured, and waits for all
// processors at each port, so that 500 ports take some 7 s instead of 0.1 s.
const (
	programName = "arpfabric"
	priority    = 0xffff // after those of others: the kernel gives one without a priority 0xc000, or less
	filterID    = 1
)

// A place is what is attached to a port's ingress.
type place struct {
	qdisc     uint32             // parent of the classifiers; 0 if there is no qdisc for ingress
	own       *netlink.BpfFilter // nil if there is none, of any process or version
	hasOthers bool               // others have classifiers there
}

// has reports whether a program is attached.
func (p place) has(id ebpf.ProgramID) bool { return p.own != nil && p.own.Id == int(id) }

// places returns what is attached to the ports that have a qdisc for ingress, by ifindex.
func places() (map[uint32]place, error) {
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
		parent := ingressOf(q)
		if parent == 0 {
			continue
		}
		index := uint32(q.Attrs().LinkIndex)
		filters, err := socket.FilterList(linkOf(index), parent)
		if err != nil && !isGone(err) && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return nil, fmt.Errorf("listing the classifiers of the port with ifindex %d over netlink: %w", index, err)
		}
		all[index] = placeOf(parent, filters)
	}
	return all, nil
}

// ingressOf returns the parent of the classifiers for ingress in a qdisc; 0 if it has none. A program that wants
// classifiers for egress, too, adds clsact instead of ingress.
func ingressOf(q netlink.Qdisc) uint32 {
	switch q.Type() {
	case "clsact":
		return netlink.HANDLE_MIN_INGRESS
	case "ingress":
		return q.Attrs().Handle
	}
	return 0
}

func placeOf(parent uint32, filters []netlink.Filter) place {
	p := place{qdisc: parent}
	for _, f := range filters {
		if own, ok := f.(*netlink.BpfFilter); ok && own.Name == programName {
			p.own = own
		} else {
			p.hasOthers = true
		}
	}
	return p
}

// attach attaches a program to a port. If another of this package is there, the program takes its place in one step.
func attach(port uint32, at place, p *ebpf.Program) error {
	if at.qdisc == 0 {
		at.qdisc = netlink.MakeHandle(0xffff, 0)
		// libvirt adds and deletes this qdisc, too, and not clsact. So both get along.
		err := netlink.QdiscAdd(&netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: int(port), Handle: at.qdisc, Parent: netlink.HANDLE_INGRESS,
		}})
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return attachError(port, err, "the qdisc ingress (sch_ingress)")
		}
	}
	err := netlink.FilterReplace(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: int(port), Parent: at.qdisc, Handle: filterID, Priority: priority, Protocol: unix.ETH_P_ALL,
		},
		Fd: p.FD(), Name: programName, DirectAction: true,
	})
	if err != nil {
		return attachError(port, err, "the classifier for eBPF (cls_bpf)")
	}
	return nil
}

// attachError says which module the kernel lacks, or returns nil if the port is gone.
func attachError(port uint32, err error, module string) error {
	switch {
	case errors.Is(err, unix.ENODEV):
		return nil
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("attaching the eBPF program: this kernel has no module for %s", module)
	}
	return fmt.Errorf("attaching the eBPF program to the port with ifindex %d: %w", port, err)
}

// attachAll attaches a program to the ports that lack it, and removes what is attached elsewhere.
func attachAll(p *ebpf.Program, id ebpf.ProgramID, ports map[uint32]guardPort, found map[uint32]place) error {
	var problems []error
	for index := range ports {
		if found[index].has(id) {
			continue
		}
		problems = append(problems, attach(index, found[index], p))
	}
	return errors.Join(append(problems, detachAll(ports, found))...)
}

// detachAll removes the programs of this package, of any process and version, from all ports but some.
func detachAll(but map[uint32]guardPort, found map[uint32]place) error {
	var problems []error
	for index, at := range found {
		if _, stays := but[index]; stays || at.own == nil {
			continue
		}
		if err := detach(index, at); err != nil && !isGone(err) {
			problems = append(problems, fmt.Errorf("removing the eBPF program from the port with ifindex %d: %w", index, err))
		}
	}
	return errors.Join(problems...)
}

// detach removes the program from a port, with the qdisc if nobody else uses it.
func detach(port uint32, at place) error {
	if at.hasOthers || at.qdisc == netlink.HANDLE_MIN_INGRESS {
		return netlink.FilterDel(at.own)
	}
	return netlink.QdiscDel(&netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: int(port), Handle: at.qdisc, Parent: netlink.HANDLE_INGRESS,
	}})
}

func linkOf(port uint32) netlink.Link {
	return &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: int(port)}}
}

// isGone reports whether an error says that an interface, or what was attached to it, does not exist.
func isGone(err error) bool { return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT) }
