package etcd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/store"
	"github.com/arpfabric/arpfabric/internal/store/etcd/etcdtest"
)

// TestUsers tries users with and without rights.
func TestUsers(t *testing.T) {
	c := etcdtest.Start(t, 1)
	c.Ctl("user", "add", "root:root")
	c.Ctl("user", "grant-role", "root", "root")
	c.Ctl("role", "add", "fabric")
	c.Ctl("role", "grant-permission", "fabric", "--prefix=true", "readwrite", "/arpfabric/")
	c.Ctl("user", "add", "fabric:secret")
	c.Ctl("user", "grant-role", "fabric", "fabric")
	c.Ctl("user", "add", "guest:secret")
	c.Ctl("auth", "enable")
	right, wrong := labtest.TempFile(t, "right", "secret\n"), labtest.TempFile(t, "wrong", "guess\n")
	for _, test := range []struct{ name, user, file, want string }{
		{"right", "fabric", right, ""},
		{"wrong password", "fabric", wrong, "etcd does not know the user fabric with this password"},
		{"unknown user", "nobody", right, "etcd does not know the user nobody"},
		{"no password", "fabric", "/nowhere", "reading the password of store.etcd.user: open /nowhere"},
		{"no user", "", "", "etcd wants a user"},
		{"no rights", "guest", right, "grant a role that may read all keys that begin with /arpfabric/v1/"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHostOf(t, &config.Etcd{Endpoints: c.Endpoints(), Prefix: "/arpfabric", Host: "a", User: test.user, PasswordFile: test.file})
			if test.want == "" {
				h.expectHealthy()
				h.commit(change(store.Allocate, allocation(3, "")))
			} else {
				h.expectError(test.want)
			}
			if strings.Contains(h.log.String(), "secret") || strings.Contains(h.log.String(), "guess") {
				t.Errorf("the log has the password:\n%s", h.log)
			}
		})
	}
}

// TestRoles makes two hosts with the commands of docs/hosts.md. The first may allocate, and the second may only read
// allocations and write its own keys.
func TestRoles(t *testing.T) {
	c := etcdtest.Start(t, 1)
	c.Ctl("user", "add", "root:root")
	c.Ctl("user", "grant-role", "root", "root")
	play := func(line string) {
		c.Ctl(strings.Fields(strings.Replace(line, "user add ", "user add --new-user-password=secret ", 1))[1:]...)
	}
	for _, line := range documentedRoles(t) {
		if strings.Contains(line, "host1") && !strings.HasSuffix(line, "arpfabric-allocate") {
			play(strings.ReplaceAll(line, "host1", "host2"))
		}
		play(line)
	}
	configOf := func(host, user string) *config.Etcd {
		return &config.Etcd{Endpoints: c.Endpoints(), Prefix: "/arpfabric", Host: host, User: user, PasswordFile: labtest.TempFile(t, "password", "secret\n")}
	}
	one, two := newHostOf(t, configOf("host1", "host1")), newHostOf(t, configOf("host2", "host2"))
	one.commit(change(store.Allocate, allocation(3, "web")))
	two.expect(one.all()...)
	for _, refused := range []store.Change{change(store.Allocate, allocation(4, "")), change(store.Free, allocation(3, "web"))} {
		err := two.Commit([]store.Change{refused})
		if !errors.Is(err, store.ErrReadOnly) || !strings.Contains(err.Error(), "allocate and free on another host, or grant etcd's user a role") {
			t.Errorf("%s without the right: %v", refused.Kind, err)
		}
	}
	if err := two.Health().Err; err != nil {
		t.Errorf("health of a host that may only read: %v", err)
	}

	a, b := newClaimantOf(t, configOf("host1", "host1"), 1), newClaimantOf(t, configOf("host2", "host2"), 2)
	a.claim(map[int]uint64{3: 0})
	b.claim(map[int]uint64{4: 0})
	b.expect("3 host1 192.0.2.1")
	a.expect("4 host2 192.0.2.2")
	b.claim(map[int]uint64{4: 0, 3: b.expect("3 host1 192.0.2.1")[guestOf(3)].Revision}) // a guest moves
	a.expect("4 host2 192.0.2.2", "3 host2 192.0.2.2")

	for _, args := range [][]string{
		{"put", "/arpfabric/v1/locations/host1/lab/02:00:00:03:54:a8", "192.0.2.2"},
		{"put", "/arpfabric/v1/hosts/host1", "me"},
		{"put", "/arpfabric/v1/hosts/host22", "me"},
		{"put", "/arpfabric/v1/addresses/lab/10.239.0.9", "allocate lab 10.239.0.9 02:00:00:09:54:a8"},
		{"del", "--prefix", "/arpfabric/v1/history/"},
		{"get", "--prefix", "/arpfabric/"},
	} {
		if _, err := c.Try(append([]string{"--user", "host2:secret"}, args...)...); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("etcdctl %s as host2: %v", strings.Join(args, " "), err)
		}
	}
	wrong := newClaimantOf(t, configOf("host1", "host2"), 3)
	labtest.Eventually(t, "a host that may not write its own keys reports it", func() bool {
		found := wrong.Findings()[""]
		return len(found) == 1 && strings.Contains(found[0], "may read and write /arpfabric/v1/hosts/host1, and the keys that begin with "+
			"/arpfabric/v1/locations/host1/")
	})
}

// documentedRoles returns the commands of docs/hosts.md that make users.
func documentedRoles(t *testing.T) (lines []string) {
	page, err := os.ReadFile("../../../docs/hosts.md")
	labtest.Must(t, err)
	for line := range strings.Lines(string(page)) {
		if command, _, _ := strings.Cut(line, "#"); strings.HasPrefix(command, "etcdctl ") {
			lines = append(lines, strings.TrimSpace(command))
		}
	}
	return lines
}

// TestFull fills etcd's database.
func TestFull(t *testing.T) {
	c := etcdtest.Start(t, 1, "--quota-backend-bytes", "65536")
	h := newHost(t, "host1", c.Endpoints()...)
	h.commit(change(store.Allocate, allocation(3, "")))
	for range 8 {
		_, _ = c.Try("put", "filler", strings.Repeat("x", 50_000))
	}
	err := h.Commit([]store.Change{change(store.Allocate, allocation(4, ""))})
	if err == nil || !strings.HasPrefix(err.Error(), "etcd's database is full") {
		t.Errorf("allocating in a full etcd: %v", err)
	}
	h.expect("10.239.0.3 02:00:00:03:54:a8")
}

// TestTLS tries certificates.
func TestTLS(t *testing.T) {
	folder := t.TempDir()
	ca, other := newAuthority(t, folder, "ca"), newAuthority(t, folder, "other")
	server, client, stranger := ca.issue("server"), ca.issue("client"), other.issue("stranger")
	c := etcdtest.StartTLS(t,
		[]string{"--cert-file", server + ".pem", "--key-file", server + ".key", "--client-cert-auth", "--trusted-ca-file", ca.path + ".pem"},
		[]string{"--cacert", ca.path + ".pem", "--cert", client + ".pem", "--key", client + ".key"})
	for _, test := range []struct{ name, ca, pair, want string }{
		{"right", ca.path, client, ""},
		{"wrong authority", other.path, client, "certificate"},
		{"wrong certificate", ca.path, stranger, "etcd cannot be reached"},
		{"no such file", ca.path, "/nowhere", "reading store.etcd.tls.cert and key: open /nowhere.pem"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHostOf(t, &config.Etcd{
				Endpoints: c.Endpoints(), Prefix: "/arpfabric", Host: "a", CA: test.ca + ".pem", Cert: test.pair + ".pem", Key: test.pair + ".key",
			})
			if test.want == "" {
				h.expectHealthy()
				h.commit(change(store.Allocate, allocation(3, "")))
				return
			}
			h.expectError(test.want)
		})
	}
}

// An authority issues certificates.
type authority struct {
	t    testing.TB
	path string // of its files, without the extension
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, folder, name string) *authority {
	a := &authority{t: t, path: filepath.Join(folder, name)}
	a.cert, a.key = a.write(a.path, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// issue returns the path of a certificate and its key, without the extensions.
func (a *authority) issue(name string) string {
	path := filepath.Join(filepath.Dir(a.path), name)
	a.write(path, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	return path
}

// write writes a certificate that the authority signs, or which signs itself if that has none.
func (a *authority) write(path string, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	labtest.Must(a.t, err)
	template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	labtest.Must(a.t, err)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	parent, signer := template, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	labtest.Must(a.t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	labtest.Must(a.t, err)
	labtest.Write(a.t, path+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	labtest.Write(a.t, path+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
	cert, err := x509.ParseCertificate(der)
	labtest.Must(a.t, err)
	return cert, key
}
