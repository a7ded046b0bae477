package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/lab"
)

// A hostsTestbed has a number of hosts, which are network namespaces on a network of their own, with etcd. Guests are
// namespaces, too:
//
//	app1 10.239.0.11   db1 10.239.0.12       app2 10.239.0.21   db2 10.239.0.22
//	 |                  |                     |                  |
//	vnet-app1          vnet-db1              vnet-app2          vnet-db2
//	br0, vx10, the fabric of host1           br0, vx10, the fabric of host2       ...
//	 |                                        |
//	eth0 192.0.2.1                           eth0 192.0.2.2
//	 |                                        |
//	up1                                      up2                        up-etcd ---- eth0 192.0.2.254, etcd
//	under0 -------------------------------------------------------------------------
type hostsTestbed struct {
	server   *lab.Guest // where etcd runs
	etcd     *lab.Process
	hosts    []*host
	guests   []*hostGuest
	captures []*lab.Capture // all of them
}

// A host is a hypervisor.
type host struct {
	*lab.Guest
	fabric  *lab.Process
	client  *api.Client
	wire    *lab.Capture // of the port to the other hosts; the frames that arrive there are from this host
	tallied int          // the frames of wire that tally leaves out
}

// A hostGuest is a guest of one of the hosts.
type hostGuest struct {
	*lab.Guest
	*lab.Capture
	host *host
}

const (
	underlay = "under0"
	tunnel   = "vx10"

	underlayMTU = 1550 // so that the guests' frames of 1500 bytes fit into the tunnels
)

var etcdAddr = netip.MustParsePrefix("192.0.2.254/24")

// hostsConfiguration is the configuration of a host.
const hostsConfiguration = `networks:
  lab:
    attach: {bridge: br0}
    subnet: 10.239.0.0/24
    overlay: {device: vx10, vni: 10, local: %[1]s}
    registry:
%[2]sstore:
  folder: /run/%[3]s
  etcd: {endpoints: ["http://192.0.2.254:2379"], host: %[3]s, lease: %[4]s}
api: {socket: /run/%[3]s/api.sock}
datapath: %[5]s
`

// hostsLease is short, so that the part about a dead host is.
const hostsLease = 5 * time.Second

func configureHost(number, n int, datapath config.Datapath) string {
	bindings := ""
	for i := range number {
		for _, g := range guestsOf(i + 1) {
			bindings += fmt.Sprintf("      %s: %q  # %s\n", g.Addr.Addr(), g.MAC, g.Name)
		}
	}
	return fmt.Sprintf(hostsConfiguration, hostAddr(n).Addr(), bindings, hostName(n), hostsLease, datapath)
}

func hostName(n int) string { return fmt.Sprint("host", n) }

func hostAddr(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), 24)
}

// guestsOf returns the guests of host n at the start.
func guestsOf(n int) []lab.GuestConfig {
	return []lab.GuestConfig{
		guest(fmt.Sprint("app", n), fmt.Sprintf("10.239.0.%d1", n), 0x02, 0x00, byte(n<<4|1), 0xde, 0x54, 0xa8),
		guest(fmt.Sprint("db", n), fmt.Sprintf("10.239.0.%d2", n), 0x02, 0x00, byte(n<<4|2), 0xde, 0x54, 0xa8),
	}
}

// newHostsTestbed makes the hosts and starts etcd and the fabrics. It returns when all hosts know where all guests are.
func newHostsTestbed(ctx context.Context, number int, datapath config.Datapath) (*hostsTestbed, error) {
	t := &hostsTestbed{}
	if err := t.build(ctx, number, datapath); err != nil {
		return nil, errors.Join(err, t.remove())
	}
	return t, nil
}

func (t *hostsTestbed) build(ctx context.Context, number int, datapath config.Datapath) error {
	if err := lab.AddBridge(underlay); err != nil {
		return err
	}
	server, err := lab.AddGuest(lab.GuestConfig{Name: "etcd", Port: "up-etcd", Bridge: underlay, MAC: net.HardwareAddr{0x02, 0, 0, 0, 0, 0xfe},
		Addr: etcdAddr, MTU: underlayMTU})
	if err != nil {
		return err
	}
	t.server = server
	if err := t.startEtcd(); err != nil {
		return err
	}
	for n := range number {
		if err := t.addHost(ctx, number, n+1, datapath); err != nil {
			return fmt.Errorf("%s: %w", hostName(n+1), err)
		}
	}
	return t.boot(ctx)
}

// startEtcd starts etcd with the data that it had.
func (t *hostsTestbed) startEtcd() (err error) {
	const client, peer = "http://192.0.2.254:2379", "http://192.0.2.254:2380"
	t.etcd, err = start(t.server, "etcd", "etcd", "--name", "demo", "--data-dir", "/run/etcd/data",
		"--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer, "--initial-cluster", "demo="+peer, "--logger", "zap", "--log-level", "error")
	return err
}

// start starts a program whose output goes to /run/NAME/log.
func start(in *lab.Guest, name, program string, args ...string) (*lab.Process, error) {
	if err := os.MkdirAll(filepath.Join("/run", name), 0o755); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(logOf(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = lab.Environ(), log, log
	p, err := in.StartProcess(cmd)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	return p, nil
}

func logOf(name string) string { return filepath.Join("/run", name, "log") }

func (t *hostsTestbed) addHost(ctx context.Context, number, n int, datapath config.Datapath) error {
	inside, err := lab.AddGuest(lab.GuestConfig{
		Name: hostName(n), Port: fmt.Sprint("up", n), Bridge: underlay, MAC: net.HardwareAddr{0x02, 0, 0, 0, 0, byte(n)},
		Addr: hostAddr(n), MTU: underlayMTU,
	})
	if err != nil {
		return err
	}
	h := &host{Guest: inside, client: api.NewClient(fmt.Sprintf("/run/%s/api.sock", inside.Name))}
	t.hosts = append(t.hosts, h)
	if h.wire, err = t.capture(h.Port); err != nil {
		return err
	}
	if err := h.Do(func() error { return lab.AddBridge(bridge) }); err != nil {
		return err
	}
	for _, config := range guestsOf(n) {
		if err := t.addGuest(h, config); err != nil {
			return err
		}
	}
	path := fmt.Sprintf("/run/%s.yaml", h.Name)
	if err := os.WriteFile(path, []byte(configureHost(number, n, datapath)), 0o644); err != nil {
		return err
	}
	if h.fabric, err = start(h.Guest, h.Name, "/proc/self/exe", "run", "--config", path); err != nil {
		return err
	}
	return h.wait(ctx, func() bool { _, err := h.client.Status(ctx); return err == nil })
}

// capture captures on an interface until the testbed is removed.
func (t *hostsTestbed) capture(name string) (*lab.Capture, error) {
	c, err := lab.StartCapture(name)
	if err == nil {
		t.captures = append(t.captures, c)
	}
	return c, err
}

func (t *hostsTestbed) addGuest(h *host, config lab.GuestConfig) error {
	g := &hostGuest{host: h}
	err := h.Do(func() (err error) {
		g.Guest, err = lab.AddGuest(config)
		return err
	})
	if err != nil {
		return err
	}
	t.guests = append(t.guests, g)
	return t.captureAt(g)
}

func (t *hostsTestbed) captureAt(g *hostGuest) error {
	return g.Do(func() (err error) {
		g.Capture, err = t.capture("eth0")
		return err
	})
}

// boot lets each guest announce its address, as systems do when they boot, and waits until all hosts know where it is.
func (t *hostsTestbed) boot(ctx context.Context) error {
	for _, g := range t.guests {
		err := g.host.wait(ctx, func() bool {
			_ = g.Send(lab.Request(g.MAC, g.Addr.Addr(), g.Addr.Addr()).Frame())
			return t.isLocated(ctx, g)
		})
		if err != nil {
			return fmt.Errorf("waiting until all hosts know where %s is: %w", g.Name, err)
		}
	}
	return nil
}

// isLocated reports whether all hosts know where a guest is.
func (t *hostsTestbed) isLocated(ctx context.Context, g *hostGuest) bool {
	for _, h := range t.hosts {
		port := tunnel
		if h == g.host {
			port = g.Port
		}
		if !h.locates(ctx, g.Addr.Addr(), port) {
			return false
		}
	}
	return true
}

// locates reports whether the host has an address behind a port.
func (h *host) locates(ctx context.Context, addr netip.Addr, port string) bool {
	found, err := h.client.LookupAddress(ctx, addr)
	return err == nil && len(found) == 1 && found[0].Location != nil && found[0].Location.Port == port
}

// wait waits until done returns true. It returns an error if the host's fabric ends first, or after the timeout.
func (h *host) wait(ctx context.Context, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for !done() {
		select {
		case <-h.fabric.Ended():
			return fmt.Errorf("the fabric of %s has ended:\n%s", h.Name, lastLines(logOf(h.Name)))
		case <-ctx.Done():
			return fmt.Errorf("%w; the log of %s:\n%s", ctx.Err(), h.Name, lastLines(logOf(h.Name)))
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// lastLines returns the end of a log.
func lastLines(path string) string {
	const most = 2000
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}

// move moves a guest to another host, and waits until the fabric there guards its port.
func (t *hostsTestbed) move(ctx context.Context, g *hostGuest, to *host) error {
	if err := g.host.Do(g.Unplug); err != nil {
		return err
	}
	if err := to.Do(g.Plug); err != nil {
		return err
	}
	g.host = to
	if err := t.captureAt(g); err != nil {
		return err
	}
	return to.wait(ctx, func() bool {
		ports, err := to.client.Ports(ctx)
		return err == nil && slices.ContainsFunc(ports, func(p api.Port) bool { return p.Name == g.Port })
	})
}

// guest returns a guest by its name.
func (t *hostsTestbed) guest(name string) *hostGuest {
	return t.guests[slices.IndexFunc(t.guests, func(g *hostGuest) bool { return g.Name == name })]
}

func (t *hostsTestbed) remove() (err error) {
	for _, c := range t.captures {
		err = errors.Join(err, c.Close())
	}
	for _, g := range t.guests {
		err = errors.Join(err, g.host.Do(g.Delete))
	}
	for _, h := range t.hosts {
		if h.fabric != nil {
			h.fabric.Kill()
		}
		err = errors.Join(err, h.Delete())
	}
	if t.etcd != nil {
		t.etcd.Kill()
	}
	if t.server != nil {
		err = errors.Join(err, t.server.Delete())
	}
	return errors.Join(err, lab.DeleteLink(underlay))
}
