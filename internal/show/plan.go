package show

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/arpfabric/arpfabric/internal/api"
)

// Plan prints a line for each change, which begins with the name of its network.
func (o *Output) Plan(p api.Plan) error {
	var lines []string
	for _, n := range p.Networks {
		lines = append(lines, networkPlan(n)...)
	}
	if len(lines) == 0 {
		lines = []string{"nothing would change"}
	}
	for _, line := range lines {
		if err := o.Line(line); err != nil {
			return err
		}
	}
	return nil
}

func networkPlan(n api.NetworkPlan) (lines []string) {
	add := func(format string, args ...any) { lines = append(lines, n.Network+": "+fmt.Sprintf(format, args...)) }
	switch n.Kind {
	case api.AddNetwork:
		add("a new network")
	case api.RemoveNetwork:
		add("the network ends")
	}
	for _, s := range n.Settings {
		add("%s %s, then %s", s.Name, s.Before, s.After)
	}
	for _, b := range n.Added {
		add("+ %s", planned(b))
	}
	for _, b := range n.Removed {
		add("- %s: its guest is cut off", planned(b))
	}
	for _, m := range n.Moved {
		after := m.After
		after.First, after.Last = netip.Addr{}, netip.Addr{} // the same as before
		add("~ %s, then %s%s", planned(m.Before), planned(after), cutOff(m))
	}
	if len(n.Ports) > 0 {
		add("ports concerned: %s", strings.Join(n.Ports, ", "))
	}
	return lines
}

// cutOff says who loses an address.
func cutOff(m api.MovedBinding) string {
	switch {
	case m.Before.MAC != m.After.MAC:
		return ": the guest before is cut off"
	case m.After.Port != "":
		return ": it is cut off on other ports"
	}
	return ""
}

// planned prints "10.239.0.102 is-at 02:00:07:de:54:a8 port vnet3 (lab.yaml:7)".
func planned(b api.NetworkBinding) string {
	text := strings.TrimPrefix(addressesOf(b.Binding)+" is-at "+b.MAC, " is-at ")
	if b.Port != "" {
		text += " port " + b.Port
	}
	if len(b.MACs) > 0 {
		text += " macs " + strings.Join(b.MACs, ", ")
	}
	if len(b.Routes) > 0 {
		text += " routes " + strings.Join(b.Routes, ", ")
	}
	return text + " (" + b.Origin + ")"
}
