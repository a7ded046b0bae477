package config

import (
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode"
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
	listen, _ := c.listen(raw.Listen, "127.0.0.1:9642")
	return Metrics{Listen: listen}
}

func (c *converter) page(raw rawPage) Page {
	listen, isLoopback := c.listen(raw.Listen, "127.0.0.1:9643")
	page := Page{Listen: listen, TokenFile: raw.TokenFile.text}
	switch {
	case raw.Listen.broken || raw.TokenFile.broken:
	case strings.ContainsFunc(page.TokenFile, unicode.IsControl):
		c.add(raw.TokenFile.place, "want the path of a file, not %s", quote(page.TokenFile))
	case page.Listen == "" && page.TokenFile != "":
		c.add(raw.TokenFile.place, "there is no page to protect: page.listen is off")
	case page.Listen != "" && !isLoopback && !raw.TokenFile.written():
		c.add(raw.Listen.place, "everybody who reaches %s could see the page: want a loopback address, such as 127.0.0.1:9643, "+
			"or a token_file beside listen", page.Listen)
	}
	if page.TokenFile != "" && !filepath.IsAbs(page.TokenFile) {
		page.TokenFile = filepath.Join(c.dir, page.TokenFile)
	}
	return page
}

// listen converts an address to listen on, "" for off, and reports whether only programs on this machine reach it.
func (c *converter) listen(raw value, example string) (listen string, isLoopback bool) {
	if raw.broken || raw.text == off {
		return "", true
	}
	host, port, err := net.SplitHostPort(raw.text)
	number, bad := strconv.ParseUint(port, 10, 16)
	ip := net.ParseIP(host)
	if err != nil || bad != nil || number == 0 || host != "" && ip == nil && host != "localhost" {
		c.add(raw.place, "want an address and a port to listen on, such as %s, or off, not %s", example, quote(raw.text))
		return "", true
	}
	return raw.text, host == "localhost" || ip.IsLoopback()
}
