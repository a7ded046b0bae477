package replay

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// maxConflicts is the number of addresses with several MACs that are listed.
const maxConflicts = 1000

// Write writes a configuration with the bindings, by address. If several MACs use an address, its lines are comments, and
// the reader must choose one.
func (l *Learned) Write(out io.Writer) error {
	w := bufio.NewWriter(out)
	l.writeHead(w)
	if l.hasBinding() {
		fmt.Fprint(w, "    registry:\n")
	} else {
		fmt.Fprint(w, "    allow_empty: true # until you have decided about the addresses below\n    registry:\n")
	}
	conflicts := 0
	for _, addr := range slices.SortedFunc(maps.Keys(l.addresses), netip.Addr.Compare) {
		claimants := l.addresses[addr]
		if len(claimants) == 1 {
			fmt.Fprintf(w, "      %s: \"%s\"\n", addr, claimants[0].mac)
			continue
		}
		if conflicts++; conflicts <= maxConflicts {
			writeConflict(w, addr, claimants)
		}
	}
	if more := conflicts - maxConflicts; more > 0 {
		fmt.Fprintf(w, "      # and %d more addresses with several MACs\n", more)
	}
	return w.Flush()
}

func (l *Learned) writeHead(w io.Writer) {
	fmt.Fprintf(w, "# Learned from %d ARP frames. Every sender is listed, legitimate or not: "+
		"check it before you use it.\n", l.shown)
	var without []string
	for _, v := range l.leftOut.verdicts() {
		without = append(without, fmt.Sprintf("%d %s", v.Frames, v.Reason))
	}
	if l.cut > 0 {
		without = append(without, fmt.Sprintf("%d truncated in the capture", l.cut))
	}
	if len(without) > 0 {
		fmt.Fprintf(w, "# Frames that show no binding: %s.\n", strings.Join(without, ", "))
	}
	if l.overLimit > 0 {
		fmt.Fprintf(w, "# warning: %d frames left out: more than %d addresses, or than %d MACs of one address\n",
			l.overLimit, maxAddresses, maxClaimants)
	}
	for _, warning := range l.warnings {
		fmt.Fprintf(w, "# warning: %s\n", warning)
	}
	fmt.Fprint(w, "networks:\n  learned:\n    attach: {bridge: br0}\n")
}

// hasBinding reports whether any address has exactly one MAC.
func (l *Learned) hasBinding() bool {
	for _, claimants := range l.addresses {
		if len(claimants) == 1 {
			return true
		}
	}
	return false
}

func writeConflict(w io.Writer, addr netip.Addr, claimants []claimant) {
	slices.SortStableFunc(claimants, func(a, b claimant) int {
		return cmp.Or(b.last.Compare(a.last), cmp.Compare(b.frames, a.frames))
	})
	fmt.Fprintf(w, "      # %d MACs use %s. Keep one of these lines, without its \"# \":\n",
		len(claimants), addr)
	for _, c := range claimants {
		frames := "1 frame"
		if c.frames != 1 {
			frames = fmt.Sprintf("%d frames", c.frames)
		}
		if c.last.Unix() != 0 { // simple packet blocks of pcapng have no time
			frames += ", last seen " + c.last.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(w, "      # %s: \"%s\" # %s\n", addr, c.mac, frames)
	}
}
