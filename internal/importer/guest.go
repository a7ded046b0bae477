package importer

import (
	"fmt"

	"github.com/arpfabric/arpfabric/responder/registry"
)

// A guestPort is what the configuration of a guest states about its network card. The address may be in another file.
type guestPort struct {
	at         registry.Origin
	mac        string
	name, port string // may be empty
	hasAddress bool   // the same file states it
}

func (s *source) addGuest(g guestPort) { s.current.guests = append(s.current.guests, g) }

// addPorts completes the bindings with the ports and names of the guests that have their MACs.
func (i *Import) addPorts(guests []guestPort) {
	ports := i.portsByMAC(guests)
	found := map[registry.MAC]bool{}
	for n := range i.Bindings {
		b := &i.Bindings[n]
		g := ports[b.MAC]
		found[b.MAC] = true
		if b.Name == "" {
			b.Name = hostName(g.name)
		}
		if isPlain(g.port, longestInterface) {
			b.Port = g.port
		}
	}
	for _, g := range guests {
		if mac, err := parseMAC(g.mac); err == nil && !found[mac] && !g.hasAddress {
			i.leaveOutGuest(g, false, "no file has its address; import the DHCP server's reservations or leases as well")
		}
	}
}

// portsByMAC returns the guests by their MACs. Two of one MAC have no port: they would be bound to that of one of them.
func (i *Import) portsByMAC(guests []guestPort) map[registry.MAC]guestPort {
	ports := map[registry.MAC]guestPort{}
	for _, g := range guests {
		mac, err := parseMAC(g.mac)
		if err != nil {
			if !g.hasAddress { // or else it is reported already
				i.leaveOutGuest(g, true, "%s", err)
			}
			continue
		}
		if other, ok := ports[mac]; ok && other.port != g.port {
			i.leaveOutGuest(g, true, "%s has this MAC too, so no port is bound to it", other.at)
			g.port = ""
		}
		ports[mac] = g
	}
	return ports
}

func (i *Import) leaveOutGuest(g guestPort, isMissed bool, why string, args ...any) {
	i.LeftOut = append(i.LeftOut, LeftOut{Origin: g.at, What: describe(g.name, g.mac), Why: fmt.Sprintf(why, args...),
		Expected: !isMissed})
}
