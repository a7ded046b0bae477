package nft

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// bring brings the table from the ruleset that was applied last to another one.
//
// The kernel does not change sets between frames: a frame may pass prerouting before its port is known there, and come to
// forward when forward takes what enters by the port for admitted. So ports that join are in prerouting first, where their
// frames are checked, and in forward once all frames that came before have gone.
func (g *BridgeTable) bring(want ruleset) error {
	if first := g.applied.withNewPorts(want); first != nil {
		if err := g.change(*first); err != nil {
			return err
		}
		waitForFrames()
	}
	return g.change(want)
}

// withNewPorts returns the ruleset with the ports that another one has besides, in prerouting alone; nil if there are none. It
// leaves out the ports of networks that this one does not have.
func (r *ruleset) withNewPorts(want ruleset) *ruleset {
	had, _ := r.set(mapPorts)
	wanted, _ := want.set(mapPorts)
	elements := slices.Clone(had.elements)
	for e := range missing(wanted.elements, had.elements, element.compare) {
		moves := slices.ContainsFunc(had.elements, func(other element) bool { return other.key == e.key })
		if _, isThere := r.chain(e.goTo); isThere && !moves {
			elements = append(elements, e)
		}
	}
	if len(elements) == len(had.elements) {
		return nil
	}
	had.elements = sortUnique(elements)
	more := *r
	more.sets = slices.Clone(r.sets)
	more.sets[slices.IndexFunc(more.sets, func(s set) bool { return s.Name == mapPorts })] = had
	return &more
}

// waitForFrames waits until the kernel has forwarded or dropped every frame that has entered before.
func waitForFrames() {
	// membarrier(2): it waits until each processor has left the sections in which the kernel handles frames (RCU).
	const membarrierGlobal, noFlags = 1, 0
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, noFlags, 0); errno != 0 {
		time.Sleep(longestFrame) // with nohz_full, the kernel has no such call
	}
}

// longestFrame is longer than the kernel takes for a frame.
const longestFrame = 50 * time.Millisecond
