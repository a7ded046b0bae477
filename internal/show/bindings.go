package show

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/internal/api"
)

// NetworkBindings prints bindings with their sources, and then why some are not in force. It has columns for the MACs between
// which addresses move, and for routes, only if there are some.
func (o *Output) NetworkBindings(bindings []api.NetworkBinding, now time.Time) error {
	rows := [][]string{{"NETWORK", "ADDRESS", "MAC", "NAME", "PORT", "EXPIRES", "ORIGIN", "MOVES BETWEEN", "ROUTES"}}
	for _, b := range bindings {
		rows = append(rows, []string{
			b.Network, addressesOf(b.Binding), b.MAC, b.Name, b.Port, expiry(now, b.Expires), b.Origin,
			strings.Join(b.MACs, ", "), strings.Join(b.Routes, ", "),
		})
	}
	if err := o.list(withoutEmptyColumns(rows, "MOVES BETWEEN", "ROUTES"), "no bindings"); err != nil {
		return err
	}
	for _, b := range bindings {
		if b.NotInForce == "" {
			continue
		}
		if err := o.Line(fmt.Sprintf("%s of network %s is not in force: %s", addressesOf(b.Binding), b.Network, b.NotInForce)); err != nil {
			return err
		}
	}
	return nil
}

// expiry prints when an allocation ends.
func expiry(now time.Time, at *time.Time) string {
	switch {
	case at == nil:
		return ""
	case at.After(now):
		return "in " + age(*at, now)
	}
	return "now"
}

// FreeRanges prints the free addresses of networks.
func (o *Output) FreeRanges(free []api.FreeRange) error {
	rows := [][]string{{"NETWORK", "FREE", "ADDRESSES"}}
	for _, r := range free {
		one := addressesOf(api.Binding{First: r.First, Last: r.Last})
		first, last := r.First.As4(), r.Last.As4()
		rows = append(rows, []string{r.Network, one, strconv.FormatUint(number(last)-number(first)+1, 10)})
	}
	return o.list(rows, "no address is free")
}

func number(a [4]byte) uint64 {
	return uint64(a[0])<<24 | uint64(a[1])<<16 | uint64(a[2])<<8 | uint64(a[3])
}

// History prints changes of allocations, one a line.
func (o *Output) History(changes []api.Change) error {
	rows := [][]string{{"REVISION", "TIME", "BY", "CHANGE", "NETWORK", "ADDRESS", "MAC", "NAME", "PORT", "EXPIRES", "BEFORE"}}
	for _, c := range changes {
		by, before := "", ""
		if c.UID != nil && c.PID != nil {
			by = fmt.Sprintf("user %d, process %d", *c.UID, *c.PID)
		}
		if c.Was != nil {
			before = ownerText(*c.Was)
		}
		rows = append(rows, []string{
			strconv.FormatUint(c.Revision, 10), c.Time.Local().Format(time.DateTime), by, string(c.Kind), c.Network,
			c.Address.String(), c.Is.MAC, c.Is.Name, c.Is.Port, dateTime(c.Is.Expires), before,
		})
	}
	return o.list(rows, "no changes")
}

func dateTime(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.Local().Format(time.DateTime)
}

// ownerText has all of an owner in one cell.
func ownerText(o api.Owner) string {
	text := o.MAC
	if o.Name != "" {
		text += " name " + o.Name
	}
	if o.Port != "" {
		text += " port " + o.Port
	}
	if o.Expires != nil {
		text += " expires " + dateTime(o.Expires)
	}
	return text
}
