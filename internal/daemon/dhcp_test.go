package daemon_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

// manyLeases is enough for all guests.
var manyLeases = leaseRange{"10.239.0.100", "10.239.0.120", time.Hour}

// ownChoice and otherChoice are addresses that no server gives.
var ownChoice, otherChoice = netip.MustParseAddr("10.239.0.98"), netip.MustParseAddr("10.239.0.99")

// TestFirstLease has a guest that no file knows. With `dhcp: open` it gets a lease, and then has exactly its address, until
// the lease ends. An ordinary user can run this server and this client, but not the others.
func TestFirstLease(t *testing.T) { firstLease(t, dnsmasq, udhcpc) }

func TestFirstLeaseByKea(t *testing.T)      { needRoot(t); firstLease(t, kea, udhcpc) }
func TestFirstLeaseByDHCPD(t *testing.T)    { needRoot(t); firstLease(t, dhcpd, udhcpc) }
func TestFirstLeaseOfDhclient(t *testing.T) { needRoot(t); firstLease(t, dhcpd, dhclient) }
func TestFirstLeaseOfDhcpcd(t *testing.T)   { needRoot(t); firstLease(t, dhcpd, dhcpcd) }
func TestFirstLeaseOfNetworkd(t *testing.T) { needRoot(t); firstLease(t, dhcpd, networkd) }

// needRoot skips a test that runs programs which change their user. Root runs it.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("these programs change their user, as only root may")
	}
}

func firstLease(t *testing.T, server dhcpServer, client dhcpClient) {
	leases := manyLeases
	if !client.releases {
		leases.time = 6 * time.Second
	}
	l := newDHCPLab(t, server, leases)
	l.expectDropped(l.web, ownChoice, "unregistered-s")
	client.start(l, l.db)
	running := client.start(l, l.web)
	dbAddr, addr := l.waitForAddress(l.db), l.waitForAddress(l.web)
	l.expectReaches(l.web, addr)
	l.expectDropped(l.web, otherChoice, "unregistered-s")
	l.expectDropped(l.web, dbAddr, "spoofed-s")
	l.expectReaches(l.web, addr)

	running.leave()
	l.expectOwner(addr, nil)
	l.expectDropped(l.web, addr, "unregistered-s")
	l.expectReaches(l.db, dbAddr)
	if client.releases { // and has left no address behind
		client.start(l, l.web)
		l.expectReaches(l.web, l.waitForAddress(l.web))
	}
	l.expectNoProblem()
}

// TestLeasesOf… play the life of leases: one that is offered only, one that is declined, restarts of the server, files that
// it writes anew or moves away, a lease that moves to another guest, and one that ends.
func TestLeasesOfDnsmasq(t *testing.T) { needRoot(t); leaseLife(t, dnsmasq) }
func TestLeasesOfKea(t *testing.T)     { needRoot(t); leaseLife(t, kea) }
func TestLeasesOfDHCPD(t *testing.T)   { needRoot(t); leaseLife(t, dhcpd) }

func leaseLife(t *testing.T, server dhcpServer) {
	l := newDHCPLab(t, server, manyLeases)
	l.discover(l.db)

	running := decliningDhclient.start(l, l.web)
	declined, addr := l.declined(), l.waitForAddress(l.web)
	l.expectReaches(l.web, addr)
	l.expectOwner(declined, nil)
	l.expectDropped(l.web, declined, "unregistered-s")
	for _, b := range l.bindings() {
		if b.MAC == l.db.MAC.String() {
			t.Errorf("%s was only offered, and is bound", b.First)
		}
	}

	stop := l.watch(addr, l.web)
	l.killServer()
	l.startServer(manyLeases)
	other := udhcpc.start(l, l.db)
	dbAddr := l.waitForAddress(l.db)
	l.expectReaches(l.db, dbAddr)
	if server.name == kea.name {
		labtest.Eventually(t, "Kea merges its files", func() bool {
			_, err := os.Stat(filepath.Join(l.dir, leasesFile+".2"))
			return err == nil
		})
	}
	l.expectReaches(l.web, addr)
	stop()
	l.expectNoProblem()

	running.leave()
	l.expectOwner(addr, nil)
	l.expectDropped(l.web, addr, "unregistered-s")
	other.leave()

	// Now the server has only this address to give.
	l.killServer()
	l.startServer(leaseRange{addr.String(), addr.String(), 6 * time.Second})
	last := dhclient.start(l, l.db)
	l.expectOwner(addr, l.db)
	l.expectReaches(l.db, addr)
	l.expectDropped(l.web, addr, "spoofed-s")

	if server.name == dnsmasq.name { // whose leases last two minutes or longer
		return
	}
	labtest.Must(t, last.Process.Kill())
	l.expectOwner(addr, nil)
	l.expectDropped(l.db, addr, "unregistered-s")
	l.expectNoProblem()
}
