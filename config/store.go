package config

import (
	"cmp"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Store is where allocations are kept.
type Store struct {
	Folder string // "" for nowhere: without etcd nothing can be allocated, and with it there is no snapshot
	Etcd   *Etcd  // nil for the folder alone
}

// DefaultStore is the default folder of the store.
const DefaultStore = "/var/lib/arpfabric"

// Etcd is an etcd cluster that many hosts share. The paths of files are "" if they are not in the configuration.
type Etcd struct {
	Endpoints    []string // URLs
	CA           string   // the file of the certificates that servers are checked against; "" for the system's
	Cert, Key    string   // the files of the client's certificate and key
	User         string
	PasswordFile string
	Prefix       string        // of all keys, without a slash at the end
	Host         string        // the name of this host, which is unique
	Lease        time.Duration // how long other hosts believe a host that is gone
	AllowEmpty   bool          // believe an etcd that has lost all allocations
}

// leases are the times that a lease may have. A shorter one could end while etcd elects a leader.
var leases = durations{5 * time.Second, time.Hour, "5s to 1h"}

// IsSame reports whether two stores are the same.
func (s Store) IsSame(other Store) bool { return reflect.DeepEqual(s, other) }

// store converts the place of the store.
func (c *converter) store(raw rawStore) Store {
	s := Store{Folder: raw.Folder.text}
	switch {
	case raw.Folder.broken || s.Folder == off:
		s.Folder = ""
	case s.Folder == "" || strings.ContainsFunc(s.Folder, unicode.IsControl):
		c.add(raw.Folder.place, "want the path of a folder, or off, not %s", quote(s.Folder))
	default:
		s.Folder = c.relative(s.Folder)
	}
	if raw.Etcd != nil && !raw.Etcd.broken {
		s.Etcd = c.etcd(raw.Etcd)
	}
	return s
}

// relative returns a path that is relative to the folder of the YAML file, like registry_files.
func (c *converter) relative(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(c.dir, path)
}

func (c *converter) etcd(raw *rawEtcd) *Etcd {
	e := &Etcd{
		CA: c.pathOf(raw.TLS.CA), Cert: c.pathOf(raw.TLS.Cert), Key: c.pathOf(raw.TLS.Key),
		User: raw.User.text, PasswordFile: c.pathOf(raw.PasswordFile),
		Prefix: strings.TrimRight(raw.Prefix.text, "/"), Host: c.hostName(raw.Host),
		Lease: c.duration(raw.Lease, leases), AllowEmpty: raw.AllowEmpty.text == "true",
	}
	if len(raw.Endpoints) == 0 {
		c.add(raw.place, "endpoints are missing: list the URLs of etcd's servers, such as [https://192.0.2.1:2379]")
	}
	for _, v := range raw.Endpoints {
		if v.readable() {
			e.Endpoints = append(e.Endpoints, c.endpoint(v, raw))
		}
	}
	if !strings.HasPrefix(e.Prefix, "/") && !raw.Prefix.broken {
		c.add(raw.Prefix.place, "want a prefix that begins with /, such as /arpfabric, not %s", quote(raw.Prefix.text))
	}
	c.together(raw.TLS.place, raw.TLS.Cert, raw.TLS.Key, "cert and key belong together: the client's certificate, and its key")
	c.together(raw.place, raw.User, raw.PasswordFile, "user and password_file belong together; without them, a client's certificate names the user")
	return e
}

// together reports that only one of two values in a mapping is written.
func (c *converter) together(at place, a, b value, problem string) {
	if a.written() != b.written() {
		c.add(at, "%s", problem)
	}
}

// pathOf returns the path of a file, or "" if none is written.
func (c *converter) pathOf(v value) string {
	switch {
	case !v.readable():
		return ""
	case v.text == "" || strings.ContainsFunc(v.text, unicode.IsControl):
		c.add(v.place, "want the path of a file, not %s", quote(v.text))
		return ""
	}
	return c.relative(v.text)
}

// hostName returns the name of this host for the others: by default the machine's.
func (c *converter) hostName(v value) string {
	if v.readable() && !networkName.MatchString(v.text) {
		c.add(v.place, "%s is not a valid name of a host: want 1 to 63 letters, digits, '-', '_' and '.', "+
			"starting with a letter or digit", quote(v.text))
	}
	name, _ := os.Hostname()
	return cmp.Or(v.text, name)
}

func (c *converter) endpoint(v value, raw *rawEtcd) string {
	u, err := url.Parse(v.text)
	switch {
	case err != nil || !slices.Contains([]string{"http", "https"}, u.Scheme) || u.Port() == "" || strings.Trim(u.Path, "/") != "" || u.User != nil:
		c.add(v.place, "want the URL of an etcd server, such as https://192.0.2.1:2379, not %s", quote(v.text))
		return ""
	case u.Scheme == "http" && (raw.TLS.CA.written() || raw.TLS.Cert.written()):
		c.add(v.place, "%s does not use tls: write https", quote(v.text))
	}
	return u.Scheme + "://" + u.Host
}
