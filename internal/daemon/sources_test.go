package daemon

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/allocate"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// lease is a line of dnsmasq's leases, which ends in an hour.
func lease(mac, addr string) string {
	return fmt.Sprintf("%d %s %s * *\n", time.Now().Add(time.Hour).Unix(), mac, addr)
}

// sourcesOf adds sources to the configuration of a session: files of dnsmasq's leases in its folder.
func sourcesOf(files ...string) string {
	var list []string
	for _, file := range files {
		list = append(list, "{dnsmasq_leases: "+file+"}")
	}
	return "}\n    sources: [" + strings.Join(list, ", ") + "]\n    policy: {"
}

// expectOwner waits until an address has an owner in the registry in force, or none if the MAC is "".
func (s *session) expectOwner(addr, mac string) {
	s.t.Helper()
	want, _ := registry.ParseMAC(mac)
	labtest.Eventually(s.t, addr+" has the owner "+mac, func() bool { return s.owner(addr) == want })
}

// owner returns the MAC of an address in the registry in force, or the zero MAC.
func (s *session) owner(addr string) registry.MAC {
	b, _ := s.fabric.Config().Networks[0].Registry.Lookup(netip.MustParseAddr(addr))
	return b.MAC
}

// statesOf returns the bindings of an address, with their source and whether they are in force.
func (s *session) statesOf(source api.Source) string {
	s.t.Helper()
	page, err := s.NetworkBindings("lab", api.BindingQuery{Source: source, Limit: 100})
	labtest.Must(s.t, err)
	var all []string
	for _, b := range page.Bindings {
		text := fmt.Sprintf("%s %s %s", b.First, b.MAC, b.Source)
		if b.NotInForce != "" {
			text += " not in force: " + strings.ReplaceAll(b.NotInForce, s.folder+"/", "")
		} else if b.Source == api.FromDnsmasqLeases && b.Expires == nil {
			text += " for ever"
		}
		all = append(all, text)
	}
	return strings.Join(all, "\n")
}

// TestSources merges the configuration, two sources and the store, in this order, while they change.
func TestSources(t *testing.T) {
	const macA, macB, macC = "02:00:0a:de:54:a8", "02:00:0b:de:54:a8", "02:00:0c:de:54:a8"
	folder := t.TempDir()
	write := func(name, text string) { labtest.Write(t, filepath.Join(folder, name), text) }
	write("one", lease(macA, "10.239.0.10"))
	write("two", lease(macB, "10.239.0.20")+lease(macB, "10.239.0.1")+lease(macC, "192.0.2.1"))
	s := begin(t, folder, sourcesOf("one", "two"))
	s.expectOwner("10.239.0.10", macA)
	s.expectOwner("10.239.0.20", macB)
	if got := s.statesOf(""); got != "10.239.0.1 02:00:00:de:54:a8 config\n"+
		"10.239.0.1 "+macB+" dnsmasq_leases not in force: lab.yaml:6 binds the address to 02:00:00:de:54:a8, and comes first\n"+
		"10.239.0.10 "+macA+" dnsmasq_leases\n10.239.0.20 "+macB+" dnsmasq_leases" {
		t.Errorf("bindings:\n%s", got)
	}
	for _, want := range []string{"a binding of a source is not in force", "10.239.0.1"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("%q is not in the log:\n%s", want, s.log)
		}
	}

	// The first source wins, also when it has the address later.
	write("one", lease(macA, "10.239.0.10")+lease(macA, "10.239.0.20"))
	s.expectOwner("10.239.0.20", macA)
	if got := s.statesOf(api.FromDnsmasqLeases); !strings.Contains(got, "10.239.0.20 "+macB+
		" dnsmasq_leases not in force: one:2 binds the address to "+macA+", and comes first") {
		t.Errorf("bindings:\n%s", got)
	}

	// An allocation is in force as long as no source has its address, and can't be made where one has it.
	if _, err := s.Allocate(t.Context(), "lab", allocate.Request{Address: netip.MustParseAddr("10.239.0.20")}); err == nil {
		t.Error("an address of a source was allocated")
	}
	s.allocate(allocate.Request{Address: netip.MustParseAddr("10.239.0.30"), MAC: registrytest.MAC(macC)})
	s.expectOwner("10.239.0.30", macC)
	write("one", lease(macA, "10.239.0.30"))
	s.expectOwner("10.239.0.30", macA)
	s.expectOwner("10.239.0.20", macB)
	s.expectOwner("10.239.0.10", "")
	if got := s.statesOf(api.FromStore); got != "10.239.0.30 "+macC+" store not in force: one:1 binds the address to "+macA+", and comes first" {
		t.Errorf("allocations:\n%s", got)
	}

	// A source that fails leaves what was known. One that is no longer named takes its bindings along.
	labtest.Must(t, os.Remove(filepath.Join(folder, "one")))
	labtest.Eventually(t, "the failure", func() bool { return s.sources(&s.fabric.Config().Networks[0])[0].Error != "" })
	s.expectOwner("10.239.0.30", macA)
	labtest.Must(t, s.allocations.reload(t.Context(), s.load(sourcesOf("two"))))
	s.expectOwner("10.239.0.30", macC)
	s.expectOwner("10.239.0.20", macB)
	write("two", lease(macB, "10.239.0.21"))
	s.expectOwner("10.239.0.21", macB)
	s.expectOwner("10.239.0.20", "")
}

// TestSourceIsTriedAgain expects a registry that could not be put in force to be tried again.
func TestSourceIsTriedAgain(t *testing.T) {
	const mac = "02:00:0a:de:54:a8"
	folder := t.TempDir()
	labtest.Write(t, filepath.Join(folder, "one"), "")
	s := begin(t, folder, sourcesOf("one"))
	s.fabric.fail(os.ErrDeadlineExceeded)
	labtest.Write(t, filepath.Join(folder, "one"), lease(mac, "10.239.0.10"))
	labtest.Eventually(t, "the failure", func() bool {
		s.allocations.mu.Lock()
		defer s.allocations.mu.Unlock()
		return s.allocations.stale["lab"]
	})
	s.fabric.fail(nil)
	s.allocations.expire(t.Context())
	s.expectOwner("10.239.0.10", mac)
}
