package fabric

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// A clone is a MAC that is seen behind two ports again and again, as when a virtual machine was copied with its MAC.
type clone struct {
	ports [2]string // sorted
	last  time.Time
}

// cloneMemory is how long a clone is reported after it was last seen behind the other port.
const cloneMemory = 2 * time.Minute

// maxClones limits the findings.
const maxClones = 16

// noteClone notes that a MAC has been seen behind another port than its location's, after it had moved too often. It reports
// whether that is new.
func (n *network) noteClone(mac registry.MAC, port, other string, now time.Time) (isNew bool) {
	_, known := n.clones[mac]
	isNew = !known && len(n.clones) < maxClones
	if known || isNew {
		n.clones[mac] = clone{[2]string{min(port, other), max(port, other)}, now}
	}
	return isNew
}

// forgetClones forgets the clones that were not seen for some time. It reports whether it has forgotten any.
func (n *network) forgetClones(now time.Time) bool {
	before := len(n.clones)
	maps.DeleteFunc(n.clones, func(_ registry.MAC, c clone) bool { return now.Sub(c.last) > cloneMemory })
	return len(n.clones) < before
}

// cloned returns findings about MACs behind two ports.
func (n *network) cloned() []string {
	var findings []string
	for mac, c := range n.clones {
		findings = append(findings, fmt.Sprintf("%s is behind both %s and %s; two guests have the same MAC, so give one of them "+
			"another, or name the port in the binding", mac, c.ports[0], c.ports[1]))
	}
	slices.Sort(findings)
	return findings
}

func (f *Fabric) forgetClones() {
	for _, n := range f.networks {
		if n.forgetClones(time.Now()) {
			f.report(n, f.interfaces)
		}
	}
}
