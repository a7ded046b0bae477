package config

import (
	"net"
	"path/filepath"
	"regexp"
	"strconv"
)

// off is written where there is to be none.
const off = "off"

// longestSocket is how long the path of a unix socket may be, in bytes: one less than sun_path (unix(7)).
const longestSocket = 107

func (c *converter) api(raw rawAPI) API {
	api := API{Socket: raw.Socket.text, Group: raw.Group.text}
	switch {
	case raw.Socket.broken:
	case api.Socket == off:
		api.Socket = ""
	case !filepath.IsAbs(api.Socket):
		c.add(raw.Socket.place, "want the path of a unix socket, with / at its beginning, or off, not %s", quote(api.Socket))
	case len(api.Socket) > longestSocket:
		c.add(raw.Socket.place, "the path of a unix socket can't be longer than %d bytes; this one has %d", longestSocket, len(api.Socket))
	}
	if raw.Group.readable() && !groupName.MatchString(api.Group) {
		c.add(raw.Group.place, "%s can't be a group: want its name or its number", quote(api.Group))
	}
	return api
}

// groupName is what useradd(8) and the number of a group look like.
var groupName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}$`)

func (c *converter) metrics(raw rawMetrics) Metrics {
	if raw.Listen.broken || raw.Listen.text == off {
		return Metrics{}
	}
	host, port, err := net.SplitHostPort(raw.Listen.text)
	number, bad := strconv.ParseUint(port, 10, 16)
	if err != nil || bad != nil || number == 0 || host != "" && net.ParseIP(host) == nil && host != "localhost" {
		c.add(raw.Listen.place, "want an address and a port to listen on, such as 127.0.0.1:9642, or off, not %s", quote(raw.Listen.text))
	}
	return Metrics{Listen: raw.Listen.text}
}
