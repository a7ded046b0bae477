package config

import (
	"net"
	"path/filepath"
	"regexp"
	"strconv"
)

// off is the value that switches a feature off.
const off = "off"

// longestSocket is the longest path of a unix socket, in bytes: one less than sun_path (unix(7)), for the final zero.
const longestSocket = 107

func (c *converter) api(raw rawAPI) API {
	api := API{Socket: raw.Socket.text, Group: raw.Group.text, Writers: raw.Writers.text}
	switch {
	case raw.Socket.broken:
	case api.Socket == off:
		api.Socket = ""
	case !filepath.IsAbs(api.Socket):
		c.add(raw.Socket.place, "want the absolute path of a unix socket, or off, not %s", quote(api.Socket))
	case len(api.Socket) > longestSocket:
		c.add(raw.Socket.place, "the path of a unix socket cannot be longer than %d bytes; this one has %d", longestSocket, len(api.Socket))
	}
	for _, group := range []value{raw.Group, raw.Writers} {
		if group.readable() && !groupName.MatchString(group.text) {
			c.add(group.place, "%s is not a valid group: want a name or a number", quote(group.text))
		}
	}
	return api
}

// groupName matches names of groups (groupadd(8)) and their numbers.
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
