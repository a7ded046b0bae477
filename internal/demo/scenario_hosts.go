package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// A part of the demo of many hosts shows one thing. Its function notes what happens, and returns the evidence, or an error that
// says what is wrong.
type part struct {
	title string
	show  func(*hostsTestbed, context.Context, *account) (evidence string, err error)
}

// parts are in this order because a host is dead after the last one.
var parts = []part{
	{"Allocation. An address that is allocated on one host is answered on the others", (*hostsTestbed).showAllocation},
	{"Tunnels. Guests reach each other over all hosts, and no broadcast goes into a tunnel", (*hostsTestbed).showTunnels},
	{"Migration. A guest moves to another host, and the traffic follows", (*hostsTestbed).showMigration},
	{"etcd fails. Guests go on, and allocating fails until etcd is back", (*hostsTestbed).showEtcdFailing},
	{"A host dies. When its lease ends, the others send nothing to it", (*hostsTestbed).showDeadHost},
}

func (t *hostsTestbed) first() *host { return t.hosts[0] }
func (t *hostsTestbed) last() *host  { return t.hosts[len(t.hosts)-1] }

// app returns the guest app of a host.
func (t *hostsTestbed) app(h *host) *hostGuest {
	return t.guest("app" + strings.TrimPrefix(h.Name, "host"))
}

var (
	hostsWeb  = allocation{"web", netip.MustParseAddr("10.239.0.101"), "02:00:65:de:54:a8"}
	hostsMail = allocation{"mail", netip.MustParseAddr("10.239.0.102"), "02:00:66:de:54:a8"}
)

// showAllocation asks for an address on the last host before and after it is allocated on the first one.
func (t *hostsTestbed) showAllocation(ctx context.Context, a *account) (string, error) {
	asker := t.app(t.last())
	if answer, err := asker.ask(ctx, hostsWeb.addr); err != nil || answer != "" {
		return "", errors.Join(err, unexpected(answer))
	}
	a.sent(asker, hostsWeb.addr)
	a.command(t.first(), hostsWeb.command())
	if err := t.first().allocate(ctx, hostsWeb); err != nil {
		return "", err
	}
	took, err := asker.expectAnswer(ctx, a, hostsWeb.addr)
	return fmt.Sprintf("%s answers %s after the allocation on host1", t.last().Name, milliseconds(took)), err
}

func unexpected(answer string) error {
	if answer == "" {
		return nil
	}
	return fmt.Errorf("the address is answered before it is allocated: %s", answer)
}

// An allocation is of an address that no guest needs to have.
type allocation struct {
	name string
	addr netip.Addr
	mac  string
}

func (o allocation) command() string {
	return fmt.Sprintf("arpfabric allocate --name %s --address %s --mac %s", o.name, o.addr, o.mac)
}

func (h *host) allocate(ctx context.Context, o allocation) error {
	_, err := h.client.Allocate(ctx, network, api.NewAllocation{
		Address: o.addr.String(), AllocationSettings: api.AllocationSettings{Name: o.name, MAC: o.mac},
	})
	return err
}

// ask sends a request, waits until the fabric has decided, and returns the answer as tcpdump prints it, or "" for none.
func (g *hostGuest) ask(ctx context.Context, addr netip.Addr) (answer string, err error) {
	before, err := verdictsOn(ctx, g.host.client, g.Port)
	if err != nil {
		return "", err
	}
	seen := len(g.Frames())
	if err := g.Send(lab.Request(g.MAC, g.Addr.Addr(), addr).Frame()); err != nil {
		return "", err
	}
	err = g.host.wait(ctx, func() bool {
		now, err := verdictsOn(ctx, g.host.client, g.Port)
		return err == nil && now > before
	})
	for _, f := range g.Frames()[seen:] {
		if !f.Sent && lab.CarriesARP(f.Frame) {
			answer = responder.Describe(f.Frame)
		}
	}
	return answer, err
}

// expectAnswer asks until there is an answer, and returns how long that took.
func (g *hostGuest) expectAnswer(ctx context.Context, a *account, addr netip.Addr) (took time.Duration, err error) {
	start := time.Now()
	for time.Since(start) < timeout && ctx.Err() == nil {
		answer, err := g.ask(ctx, addr)
		if err != nil {
			return 0, err
		}
		if answer != "" {
			a.sent(g, addr)
			a.received(g, answer)
			return time.Since(start), nil
		}
	}
	return 0, fmt.Errorf("%s gets no answer for %s in %s", g.Name, addr, timeout)
}

// showTunnels pings from each app each guest of each host, and sends what no tunnel may carry.
func (t *hostsTestbed) showTunnels(ctx context.Context, a *account) (string, error) {
	t.beginTally()
	a.note("each app pings the other guests")
	replies := pings{took: map[[2]string]time.Duration{}}
	for _, h := range t.hosts {
		for _, to := range t.guests {
			replies.add(ctx, t.app(h), to)
		}
	}
	a.table(replies.rows(t))
	a.note("app1 sends a broadcast, a multicast and a frame for a MAC that is not registered, and pings the other apps")
	if err := t.app(t.first()).sendAstray(); err != nil {
		return "", err
	}
	for _, h := range t.hosts[1:] { // once there are replies, no earlier frame is on its way
		replies.add(ctx, t.app(t.first()), t.app(h))
	}
	wait, cancel := context.WithTimeout(ctx, time.Second) // until all frames are captured
	defer cancel()
	_ = t.first().wait(wait, func() bool { return t.tally().sum(direct) >= replies.crossings })
	tunnels := t.tally()
	a.table(tunnels.rows(t.hosts))
	if replies.lost > 0 {
		return "", fmt.Errorf("%d pings had no reply", replies.lost)
	}
	return "all pings had a reply, and no other frame was in the tunnels", tunnels.check(replies.crossings)
}

// sendAstray sends frames that are for no guest.
func (g *hostGuest) sendAstray() error {
	for _, to := range []net.HardwareAddr{broadcast, {0x01, 0x00, 0x5e, 0x00, 0x00, 0xfb}, {0x02, 0x00, 0x99, 0xde, 0x54, 0xa8}} {
		if err := g.Send(lab.EchoReply(to, g.MAC, g.Addr.Addr(), netip.MustParseAddr("10.239.0.255"), nil)); err != nil {
			return err
		}
	}
	return nil
}

// pings has how long the replies took.
type pings struct {
	took      map[[2]string]time.Duration // by the names of the guests that sent and answered the ping
	lost      int
	crossings int // frames that have to cross tunnels: pings to other hosts, and their replies
}

func (p *pings) add(ctx context.Context, from, to *hostGuest) {
	if from == to {
		return
	}
	took, err := from.ping(ctx, to.Addr.Addr())
	if err != nil {
		p.lost++
		return
	}
	p.took[[2]string{from.Name, to.Name}] = took
	if from.host != to.host {
		p.crossings += 2
	}
}

func (g *hostGuest) ping(ctx context.Context, addr netip.Addr) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return g.Guest.Ping(ctx, addr)
}

// goal is the longest time that traffic should need to follow a guest.
const goal = 200 * time.Millisecond

// showMigration moves db2 while the last host's app pings it. As QEMU does after a migration, db2 announces its MAC by RARP.
func (t *hostsTestbed) showMigration(ctx context.Context, a *account) (string, error) {
	guest, from := t.guest("db2"), t.app(t.last())
	pinger, err := from.StartPinger(guest.Addr.Addr(), 5*time.Millisecond)
	if err != nil {
		return "", err
	}
	defer pinger.Stop()
	a.note("%s pings db2 every 5 ms", from.Name)
	if err := guest.awaitPing(ctx); err != nil {
		return "", fmt.Errorf("no ping reaches db2 on host2: %w", err)
	}
	a.note("db2 stops on host2, and gets a port on host1")
	if err := t.move(ctx, guest, t.first()); err != nil {
		return "", err
	}
	a.note("db2 > RARP, on host1")
	stop := guest.announce()
	defer stop()
	start := time.Now()
	if err := guest.awaitPing(ctx); err != nil {
		return "", fmt.Errorf("no ping reaches db2 on host1: %w", err)
	}
	took := time.Since(start)
	a.note("db2 < ping of %s, on host1", from.Name)
	if _, err := from.ping(ctx, guest.Addr.Addr()); err != nil {
		return "", fmt.Errorf("%s gets no reply from db2 on host1: %w", from.Name, err)
	}
	return fmt.Sprintf("the traffic followed %s after the RARP (the goal: %s)", milliseconds(took), milliseconds(goal)), nil
}

// announce sends RARP until stop is called, with the pauses that QEMU makes after a migration.
func (g *hostGuest) announce() (stop func()) {
	const first, step, longest = 50 * time.Millisecond, 100 * time.Millisecond, 550 * time.Millisecond
	frame := make([]byte, responder.MinFrameLen)
	responder.WriteRARP(frame, registry.MAC(g.MAC))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for pause := first; ctx.Err() == nil; pause = min(pause+step, longest) {
			_ = g.Send(frame)
			sleep(ctx, pause)
		}
	})
	return func() { cancel(); running.Wait() }
}

// awaitPing waits until the guest receives an IPv4 packet.
func (g *hostGuest) awaitPing(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	seen := len(g.Frames())
	return g.Capture.Wait(ctx, func(frames []lab.Seen) bool {
		return slices.ContainsFunc(frames[seen:], func(f lab.Seen) bool { return !f.Sent && isIPv4(f.Frame) })
	})
}

func isIPv4(frame []byte) bool { return len(frame) > 14 && frame[12] == 0x08 && frame[13] == 0x00 }

// showEtcdFailing kills etcd while guests ping each other, and starts it again.
func (t *hostsTestbed) showEtcdFailing(ctx context.Context, a *account) (string, error) {
	err := t.showEtcdAway(ctx, a)
	if e := t.startEtcd(); e != nil { // also after an error: the next part needs it
		return "", errors.Join(err, e)
	}
	start := time.Now()
	a.note("etcd is started")
	if e := t.first().wait(ctx, func() bool { return t.first().allocate(ctx, hostsMail) == nil }); e != nil {
		return "", errors.Join(err, fmt.Errorf("host1 cannot allocate after etcd was started: %w", e))
	}
	a.command(t.first(), hostsMail.command())
	back := time.Since(start)
	if _, e := t.app(t.last()).expectAnswer(ctx, a, hostsMail.addr); e != nil {
		return "", errors.Join(err, e)
	}
	return fmt.Sprintf("no ping was lost, and host1 could allocate again %s after etcd was started", seconds(back)), err
}

// showEtcdAway kills etcd, and expects an allocation to fail.
func (t *hostsTestbed) showEtcdAway(ctx context.Context, a *account) error {
	from, to := t.app(t.first()), t.app(t.last())
	pinger, err := from.StartPinger(to.Addr.Addr(), 20*time.Millisecond)
	if err != nil {
		return err
	}
	defer pinger.Stop()
	t.etcd.Kill()
	a.note("etcd is killed, while app1 pings %s every 20 ms", to.Name)
	if err := t.first().wait(ctx, func() bool { return !t.first().reachesEtcd(ctx) }); err != nil {
		return fmt.Errorf("host1 does not notice that etcd is away: %w", err)
	}
	a.note("host1 has noticed it")
	a.command(t.first(), hostsMail.command())
	failure := t.first().allocate(ctx, hostsMail)
	if failure == nil {
		return errors.New("an address is allocated while etcd is away")
	}
	a.note("%s", failure)
	sent, answered := pinger.Stop()
	a.note("%s has answered %d of %d pings", to.Name, answered, sent)
	if answered < sent {
		return errors.New("pings were lost while etcd was away")
	}
	return nil
}

// reachesEtcd reports whether the fabric says that it can use etcd.
func (h *host) reachesEtcd(ctx context.Context) bool {
	s, err := h.client.Status(ctx)
	return err == nil && s.Store.Etcd.Error == ""
}

// showDeadHost kills the last host, while the first one's app pings its app.
func (t *hostsTestbed) showDeadHost(ctx context.Context, a *account) (string, error) {
	from, dead := t.app(t.first()), t.last()
	// Otherwise the kernel of host1 would soon send nothing because its ARP for the dead host has no answer.
	if err := t.first().Do(func() error { return lab.AddNeighbor("eth0", dead.Addr.Addr(), dead.MAC) }); err != nil {
		return "", err
	}
	pinger, err := from.StartPinger(t.app(dead).Addr.Addr(), 20*time.Millisecond)
	if err != nil {
		return "", err
	}
	defer pinger.Stop()
	dead.fabric.Kill()
	if err := dead.Unplug(); err != nil {
		return "", err
	}
	died := time.Now()
	a.note("%s is dead: its fabric is killed, and its network cut, while app1 pings %s every 20 ms", dead.Name, t.app(dead).Name)
	last := died
	err = t.first().wait(ctx, func() bool {
		last = t.first().lastSentTo(dead, last)
		return time.Since(last) > time.Second
	})
	if err != nil {
		return "", fmt.Errorf("host1 still sends to %s: %w", dead.Name, err)
	}
	after := last.Sub(died)
	a.note("host1 has sent nothing to %s for a second", dead.Name)
	for _, h := range t.hosts[1 : len(t.hosts)-1] {
		if _, err := from.ping(ctx, t.app(h).Addr.Addr()); err != nil {
			return "", fmt.Errorf("%s does not answer: %w", t.app(h).Name, err)
		}
		a.note("%s answers app1 as before", t.app(h).Name)
	}
	return fmt.Sprintf("host1 sent its last frame to %s %s after the death; a lease lasts %s from the last sign of life", dead.Name,
		seconds(after), hostsLease), nil
}

// lastSentTo returns when the last frame left for another host in the tunnel, or the time before.
func (h *host) lastSentTo(other *host, before time.Time) time.Time {
	for _, f := range h.wire.Frames() {
		if to, _, ok := tunnelled(f.Frame); ok && !f.Sent && to == other.Addr.Addr() && f.At.After(before) {
			before = f.At
		}
	}
	return before
}
