package daemon_test

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"golang.org/x/sys/unix"
)

// leasesFile is the file of leases in the lab's folder.
const leasesFile = "leases"

// A leaseRange is what a server may give.
type leaseRange struct {
	first, last string
	time        time.Duration // dnsmasq takes two minutes if it is less
}

// A dhcpServer is a program that serves br0.
type dhcpServer struct {
	name    string
	source  api.Source
	command func(t *testing.T, dir string, leases leaseRange) *exec.Cmd
}

var dnsmasq = dhcpServer{"dnsmasq", api.FromDnsmasqLeases, func(t *testing.T, dir string, leases leaseRange) *exec.Cmd {
	labtest.NeedProgram(t, "dnsmasq")
	return exec.Command("dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--user=root", "--port=0", "--interface=br0",
		"--bind-interfaces", "--no-ping", "--dhcp-authoritative",
		fmt.Sprintf("--dhcp-range=%s,%s,%d", leases.first, leases.last, leases.time/time.Second),
		"--dhcp-leasefile="+filepath.Join(dir, leasesFile), "--pid-file="+filepath.Join(dir, "pid"))
}}

// Kea moves its file away every second.
var kea = dhcpServer{"kea-dhcp4", api.FromKeaLeases, func(t *testing.T, dir string, leases leaseRange) *exec.Cmd {
	conf := filepath.Join(dir, "kea.json")
	labtest.Write(t, conf, fmt.Sprintf(`{"Dhcp4": {"interfaces-config": {"interfaces": ["br0"]}, "valid-lifetime": %d,
		"lease-database": {"type": "memfile", "name": %q, "lfc-interval": 1}, "authoritative": true,
		"expired-leases-processing": {"reclaim-timer-wait-time": 1, "flush-reclaimed-timer-wait-time": 1, "hold-reclaimed-time": 1},
		"subnet4": [{"id": 1, "subnet": "10.239.0.0/24", "pools": [{"pool": "%s - %s"}]}],
		"loggers": [{"name": "kea-dhcp4", "severity": "INFO", "output_options": [{"output": "stdout"}]}]}}`,
		leases.time/time.Second, filepath.Join(dir, leasesFile), leases.first, leases.last))
	cmd := exec.Command(unconfined(t, "kea-dhcp4"), "-c", conf)
	cmd.Env = append(os.Environ(), "KEA_LFC_EXECUTABLE="+unconfined(t, "kea-lfc"), "KEA_PIDFILE_DIR="+dir, "KEA_LOCKFILE_DIR="+dir,
		"KEA_DHCP_DATA_DIR="+dir) // newer versions write leases only there
	return cmd
}}

var dhcpd = dhcpServer{"dhcpd", api.FromISCLeases, func(t *testing.T, dir string, leases leaseRange) *exec.Cmd {
	conf := filepath.Join(dir, "dhcpd.conf")
	labtest.Write(t, conf, fmt.Sprintf("authoritative; ping-check false; default-lease-time %[1]d; max-lease-time %[1]d; min-lease-time %[1]d;\n"+
		"subnet 10.239.0.0 netmask 255.255.255.0 { range %[2]s %[3]s; }\n", leases.time/time.Second, leases.first, leases.last))
	path := filepath.Join(dir, leasesFile)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600) // dhcpd wants one
	labtest.Must(t, err)
	file.Close()
	return exec.Command(unconfined(t, "dhcpd"), "-4", "-f", "-d", "-cf", conf, "-lf", path, "-pf", filepath.Join(dir, "pid"), "br0")
}}

// unconfined copies a program. Ubuntu's AppArmor has a profile for the program at its own path, with which it may not
// open the files of a test.
func unconfined(t *testing.T, name string) (path string) {
	t.Helper()
	labtest.NeedProgram(t, name)
	found, err := exec.LookPath(name)
	labtest.Must(t, err)
	from, err := os.Open(found)
	labtest.Must(t, err)
	defer from.Close()
	path = filepath.Join(t.TempDir(), name)
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	labtest.Must(t, err)
	defer to.Close()
	_, err = io.Copy(to, from)
	labtest.Must(t, err)
	return path
}

// A dhcpClient is a program in a guest.
type dhcpClient struct {
	releases bool // it gives its lease back; if false, the lease ends some time after the client has left
	start    func(l *dhcpLab, g *lab.Guest) *runningClient
}

// A runningClient has asked for a lease.
type runningClient struct {
	*exec.Cmd
	leave func() // ends it
}

var udhcpc = dhcpClient{true, func(l *dhcpLab, g *lab.Guest) *runningClient {
	labtest.NeedProgram(l.t, "udhcpc")
	script := l.script(`case $1 in
	deconfig) ip address flush dev eth0 ;;
	bound | renew) ip address replace "$ip/24" dev eth0 ;;
	esac`)
	cmd := exec.Command("udhcpc", "-f", "-R", "-C", "-i", "eth0", "-t", "10", "-T", "1", "-A", "1", "-s", script)
	return l.run(g, cmd, unix.SIGTERM)
}}

var dhclient = dhcpClient{true, func(l *dhcpLab, g *lab.Guest) *runningClient { return l.dhclient(g, ":") }}

// decliningDhclient finds that the first address that it gets is another host's.
var decliningDhclient = dhcpClient{true, func(l *dhcpLab, g *lab.Guest) *runningClient {
	declined := filepath.Join(l.dir, declinedFile)
	return l.dhclient(g, fmt.Sprintf(`[ "$reason" != BOUND ] || [ -e %[1]q ] || { echo "$new_ip_address" >%[1]q; exit 1; }`, declined))
}}

// declinedFile has the address that decliningDhclient declined, in the lab's folder.
const declinedFile = "declined"

// dhclient runs dhclient with a script that first runs check.
func (l *dhcpLab) dhclient(g *lab.Guest, check string) *runningClient {
	dir := l.t.TempDir()
	conf := filepath.Join(dir, "conf")
	labtest.Write(l.t, conf, "initial-interval 1; backoff-cutoff 2; retry 1;\n")
	script := l.script(check + `
	case $reason in
	BOUND | RENEW | REBIND | REBOOT) ip address replace "$new_ip_address/24" dev eth0 ;;
	RELEASE | EXPIRE | FAIL | STOP) ip address flush dev eth0 ;;
	esac`)
	program := unconfined(l.t, "dhclient")
	options := []string{"-4", "-d", "-cf", conf, "-sf", script, "-lf", filepath.Join(dir, "leases"), "-pf", filepath.Join(dir, "pid"), "eth0"}
	c := l.run(g, exec.Command(program, options...), unix.SIGKILL)
	c.leave = func() {
		out, err := g.Run(l.t.Context(), program, append([]string{"-r"}, options...)...)
		l.t.Logf("dhclient -r: %v\n%s", err, out)
		_ = c.Wait()
	}
	return c
}

// dhcpcd probes its address by ARP before it uses it.
var dhcpcd = dhcpClient{true, func(l *dhcpLab, g *lab.Guest) *runningClient {
	labtest.NeedProgram(l.t, "dhcpcd")
	conf := filepath.Join(l.t.TempDir(), "conf")
	labtest.Write(l.t, conf, "duid\npersistent\nrequire dhcp_server_identifier\nscript /bin/true\n")
	return l.run(g, l.withOwnFolders("mkdir -p /var/lib/dhcpcd && mount -t tmpfs dhcpcd /var/lib/dhcpcd && "+
		"exec dhcpcd -4 -B -f "+conf+" eth0"), unix.SIGALRM)
}}

// networkd leaves a device alone that udev may not know yet, unless /sys is read-only, as in containers.
var networkd = dhcpClient{false, func(l *dhcpLab, g *lab.Guest) *runningClient {
	const program = "/lib/systemd/systemd-networkd"
	labtest.NeedProgram(l.t, program)
	conf := filepath.Join(l.t.TempDir(), "eth0.network")
	labtest.Must(l.t, os.WriteFile(conf, []byte("[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"), 0o644))
	return l.run(g, l.withOwnFolders("mkdir -p /run/systemd/network /run/systemd/netif && "+
		"chown systemd-network:systemd-network /run/systemd/netif && cp "+conf+" /run/systemd/network && "+
		"mount --bind /sys /sys && mount -o remount,bind,ro /sys && SYSTEMD_LOG_TARGET=console exec "+program), unix.SIGKILL)
}}

// withOwnFolders returns a shell command that runs in namespaces of its own: with an empty /run, and with processes that
// end with it.
func (l *dhcpLab) withOwnFolders(command string) *exec.Cmd {
	cmd := exec.Command("sh", "-ec", "mount -t proc proc /proc && mount -t tmpfs run /run && chmod 755 /run && "+command)
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID}
	return cmd
}

// script writes a shell script for a client.
func (l *dhcpLab) script(text string) (path string) {
	l.t.Helper()
	path = filepath.Join(l.t.TempDir(), "script")
	labtest.Must(l.t, os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700))
	return path
}

// run runs a client in a guest until the test ends, or until it leaves: a signal makes it.
func (l *dhcpLab) run(g *lab.Guest, cmd *exec.Cmd, leave unix.Signal) *runningClient {
	l.t.Helper()
	startProgram(l.t, filepath.Base(cmd.Path)+" of "+g.Name, cmd, func() error { return g.Start(cmd) })
	return &runningClient{cmd, func() {
		labtest.Must(l.t, cmd.Process.Signal(leave))
		_ = cmd.Wait()
	}}
}

// declined waits until decliningDhclient has declined an address, and returns it.
func (l *dhcpLab) declined() (addr netip.Addr) {
	l.t.Helper()
	labtest.Eventually(l.t, "the client declines an address", func() bool {
		text, _ := os.ReadFile(filepath.Join(l.dir, declinedFile))
		var err error
		addr, err = netip.ParseAddr(strings.TrimSpace(string(text)))
		return err == nil
	})
	return addr
}
