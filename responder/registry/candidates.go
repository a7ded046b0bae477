package registry

import (
	"iter"
	"strings"
)

// MACs is an immutable list of MACs. Unlike a slice, it is comparable, and so is a [Binding] that has one.
type MACs struct {
	packed string
}

const macLen = len(MAC{})

// MACsOf returns a list of MACs in the same order.
func MACsOf(list ...MAC) MACs {
	packed := make([]byte, 0, len(list)*macLen)
	for _, m := range list {
		packed = append(packed, m[:]...)
	}
	return MACs{string(packed)}
}

// All yields the MACs.
func (m MACs) All() iter.Seq[MAC] {
	return func(yield func(MAC) bool) {
		for i := range m.len() {
			if !yield(m.at(i)) {
				return
			}
		}
	}
}

func (m MACs) len() int { return len(m.packed) / macLen }

func (m MACs) at(i int) (mac MAC) {
	copy(mac[:], m.packed[i*macLen:])
	return mac
}

// IsEmpty reports whether there is no MAC.
func (m MACs) IsEmpty() bool { return m.packed == "" }

// Contains reports whether mac is in the list.
func (m MACs) Contains(mac MAC) bool {
	for i := range m.len() {
		if m.at(i) == mac {
			return true
		}
	}
	return false
}

// String returns the MACs separated by commas.
func (m MACs) String() string {
	var words []string
	for mac := range m.All() {
		words = append(words, mac.String())
	}
	return strings.Join(words, ", ")
}

// checkCandidates describes what is wrong with b's candidates. It returns "" if nothing is.
func (b Binding) checkCandidates() string {
	if b.Candidates.IsEmpty() {
		return ""
	}
	if b.IsAlone() || !b.Candidates.Contains(b.MAC) {
		return b.MAC.String() + " is not among the MACs that may hold the addresses"
	}
	listed := map[MAC]bool{}
	for mac := range b.Candidates.All() {
		if !mac.IsUnicast() || listed[mac] {
			return mac.String() + " is listed twice, or is not a unicast MAC"
		}
		listed[mac] = true
	}
	return ""
}

// IsCandidate reports whether mac may become the holder of ip by an announcement on a port, or is it already.
func (r *Registry) IsCandidate(ip IPv4, mac MAC, port string) bool {
	if len(r.extras) == 0 {
		return false
	}
	addresses := interval{ip, ip}
	if _, _, ok := r.single.find(ip); !ok {
		rec := r.ranges.record(ip)
		if rec == nil {
			return false
		}
		addresses = interval{rec.first, rec.last}
	}
	e := r.extras.of(addresses)
	return e.candidates.Contains(mac) && r.Admits(e.owner, port)
}
