package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"golang.org/x/sync/errgroup"
)

var soak = flag.Duration("soak", 2*time.Second, "how long TestSoak runs; 10m finds what is rare or slow")

// TestSoak allocates and frees addresses by eight callers at once, each for a guest, while other guests load the fabric
// with ARP and the bridge with IPv4. A guest can use an address, and others get the right answer for it, from when it is
// allocated until it is freed, and the fabric's memory and descriptors stay as they are.
//
//	8 tenants, soak1 to soak8 ──┐
//	asker, soak9: ARP ──────────┼── br0
//	talker, soak10: IPv4 ───────┘
func TestSoak(t *testing.T) {
	f := newSoak(t)
	ctx, cancel := context.WithTimeout(context.Background(), *soak)
	defer cancel()
	before := f.resources()
	all, ctx := errgroup.WithContext(ctx)
	for i := range f.tenants {
		all.Go(func() error { return f.callRepeatedly(ctx, i) })
	}
	all.Go(func() error { return f.load(ctx) })
	// The first allocations make the store and warm up the collector.
	select {
	case <-ctx.Done():
	case <-time.After(*soak / 4):
	}
	warm := f.resources()
	labtest.Must(t, all.Wait())
	after := f.resources()
	status, err := f.client.Status(context.Background())
	labtest.Must(t, err)
	t.Logf("%d allocations; %d answers for addresses that come and go; %d packets of others; descriptors and KiB of memory: "+
		"%v, then %v, then %v; losses %+v",
		f.allocated.Load(), f.answered.Load(), f.delivered.Load(), before, warm, after, status.Losses)
	if f.allocated.Load() == 0 || f.answered.Load() == 0 || f.delivered.Load() == 0 {
		t.Error("nothing was checked")
	}
	if n := status.Store.Allocations; n != 0 {
		t.Errorf("%d allocations are left", n)
	}
	if limit := warm.memory + warm.memory/4 + 16<<10; after.memory > limit || after.descriptors > before.descriptors+8 {
		t.Errorf("memory or descriptors have grown: %v, then %v, then %v", before, warm, after)
	}
}

// A soakTest is a fabric with guests that come and go.
type soakTest struct {
	t             *testing.T
	program       *program
	client        *api.Client
	tenants       [8]*lab.Guest // each with an address of its own, beside those that are allocated
	asker, talker *lab.Guest

	number                         atomic.Uint64 // of a packet
	allocated, answered, delivered atomic.Uint64 // answered: requests for addresses that come and go
}

func newSoak(t *testing.T) *soakTest {
	newStage(t)
	f := &soakTest{t: t}
	registry := "    subnet: 10.239.0.0/16\n    allocation: {hold: 0s}\n    registry:\n"
	add := func(n byte, name string) *lab.Guest {
		g, err := lab.AddGuest(lab.GuestConfig{
			Name: name, Port: fmt.Sprint("soak", n), Bridge: bridgeName, MAC: net.HardwareAddr{2, 0, n, 0xde, 0x54, 0xa9},
			Addr: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 239, 0, n}), 16),
		})
		labtest.Must(t, err)
		t.Cleanup(func() { g.Delete() })
		registry += fmt.Sprintf("      %s: {mac: %q, port: %s}\n", g.Addr.Addr(), g.MAC, g.Port)
		return g
	}
	for i := range f.tenants {
		f.tenants[i] = add(byte(i+1), fmt.Sprint("tenant", i+1))
	}
	f.asker, f.talker = add(9, "asker"), add(10, "talker")
	f.program = startRun(t, "networks:\n  lab:\n    attach: {bridge: br0}\n"+registry+
		"store: {folder: "+filepath.Join(t.TempDir(), "store")+"}\n")
	f.client = api.NewClient(config.DefaultSocket)
	labtest.Eventually(t, "the fabric answers", func() bool {
		status, err := f.client.Status(context.Background())
		return err == nil && status.Networks[0].Ports == len(f.tenants)+4 // with those of the stage
	})
	return f
}

// pool returns the range of a tenant's addresses.
func pool(tenant int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 239, byte(tenant + 1), 0}), 28)
}

// resources is what the fabric's process has.
type resources struct {
	descriptors, memory int // memory in KiB
}

func (f *soakTest) resources() resources {
	f.t.Helper()
	process := fmt.Sprint("/proc/", f.program.Process.Pid)
	descriptors, err := os.ReadDir(process + "/fd")
	labtest.Must(f.t, err)
	status, err := os.ReadFile(process + "/status")
	labtest.Must(f.t, err)
	_, text, _ := strings.Cut(string(status), "VmRSS:")
	memory, err := strconv.Atoi(strings.Fields(text)[0])
	labtest.Must(f.t, err)
	return resources{len(descriptors), memory}
}

// callRepeatedly calls one function of a caller until ctx ends. Captures keep every frame, so they begin anew at times.
func (f *soakTest) callRepeatedly(ctx context.Context, tenant int) error {
	for ctx.Err() == nil {
		p, err := f.newPair(tenant)
		if err != nil {
			return err
		}
		for n := 0; n < 50 && ctx.Err() == nil && err == nil; n++ {
			err = p.allocateAndFree(pool(tenant))
		}
		if err := errors.Join(err, p.owner.Close(), p.peer.Close()); err != nil {
			return err
		}
	}
	return nil
}

// A pair is a tenant that gets addresses, and another guest that talks with it.
type pair struct {
	f           *soakTest
	owner, peer *guest
}

func (f *soakTest) newPair(tenant int) (*pair, error) {
	owner, peer := f.tenants[tenant], f.tenants[(tenant+1)%len(f.tenants)]
	a, err := owner.StartCapture()
	if err != nil {
		return nil, err
	}
	b, err := peer.StartCapture()
	return &pair{f, &guest{owner, a}, &guest{peer, b}}, err
}

// allocateAndFree checks that the owner can use an address as soon as it is allocated, and not after it was freed.
func (p *pair) allocateAndFree(from netip.Prefix) error {
	ctx := context.Background()
	b, err := p.f.client.Allocate(ctx, "lab", api.NewAllocation{
		From: from.String(), AllocationSettings: api.AllocationSettings{MAC: p.owner.MAC.String(), Port: p.owner.Port},
	})
	if err != nil {
		return err
	}
	p.f.allocated.Add(1)
	if err := p.expectUsable(b.First); err != nil {
		return fmt.Errorf("%s is allocated: %w", b.First, err)
	}
	if _, err := p.f.client.FreeBinding(ctx, "lab", b.First, b.Revision); err != nil {
		return err
	}
	if err := p.expectUnusable(b.First); err != nil {
		return fmt.Errorf("%s was freed: %w", b.First, err)
	}
	return nil
}

func (p *pair) expectUsable(addr netip.Addr) error {
	out, in := p.packets(addr)
	if err := p.resolve(addr); err != nil {
		return err
	}
	if err := deliver(p.owner, out, func() bool { return p.peer.hasReceived(out) }); err != nil {
		return fmt.Errorf("IPv4 from the owner: %w", err)
	}
	if err := deliver(p.peer, in, func() bool { return p.owner.hasReceived(in) }); err != nil {
		return fmt.Errorf("IPv4 to the owner: %w", err)
	}
	return p.settle()
}

func (p *pair) expectUnusable(addr netip.Addr) error {
	out, in := p.packets(addr)
	before := len(answersFor(p.peer, addr))
	if err := errors.Join(p.peer.Send(p.peer.request(addr.String())), p.owner.Send(out), p.peer.Send(in), p.settle()); err != nil {
		return err
	}
	if len(answersFor(p.peer, addr)) > before {
		return errors.New("a request for it was answered")
	}
	if p.peer.hasReceived(out) || p.owner.hasReceived(in) {
		return errors.New("IPv4 passed")
	}
	return nil
}

// settle waits until all frames that the two have sent have arrived, or never will: frames behind them have.
func (p *pair) settle() error {
	out, in := p.packets(p.owner.Addr.Addr())
	return errors.Join(
		p.resolve(p.owner.Addr.Addr()),
		deliver(p.owner, out, func() bool { return p.peer.hasReceived(out) }),
		deliver(p.peer, in, func() bool { return p.owner.hasReceived(in) }),
	)
}

// packets returns a packet from an address of the owner to the peer, and one back. Each is different.
func (p *pair) packets(addr netip.Addr) (out, in []byte) {
	data := fmt.Appendf(nil, "%026d", p.f.number.Add(1))
	peer := p.peer.Addr.Addr()
	return lab.EchoReply(p.peer.MAC, p.owner.MAC, addr, peer, data), lab.EchoReply(p.owner.MAC, p.peer.MAC, peer, addr, data)
}

// resolve has the peer ask for an address of the owner, and checks the answer.
func (p *pair) resolve(addr netip.Addr) error {
	before := len(answersFor(p.peer, addr))
	isAnswered := func() bool { return len(answersFor(p.peer, addr)) > before }
	if err := deliver(p.peer, p.peer.request(addr.String()), isAnswered); err != nil {
		return fmt.Errorf("the answer for %s: %w", addr, err)
	}
	for _, answer := range answersFor(p.peer, addr)[before:] {
		if mac := net.HardwareAddr(answer[22:28]); !bytes.Equal(mac, p.owner.MAC) {
			return fmt.Errorf("the answer for %s is %s, not %s", addr, mac, p.owner.MAC)
		}
	}
	return nil
}

// deliver sends a frame until it has arrived: the kernel may lose frames under load.
func deliver(from *guest, frame []byte, hasArrived func() bool) error {
	for deadline := time.Now().Add(labtest.Patience); time.Now().Before(deadline); {
		if err := from.Send(frame); err != nil {
			return err
		}
		for range 40 {
			if hasArrived() {
				return nil
			}
			time.Sleep(time.Millisecond)
		}
	}
	return fmt.Errorf("waited %v in vain", labtest.Patience)
}

const forged = "forged"

// load has the asker ask for all addresses, and the talker send to it: IPv4 of its own, and in the name of others.
func (f *soakTest) load(ctx context.Context) error {
	for ctx.Err() == nil {
		asker, err := f.asker.StartCapture()
		if err != nil {
			return err
		}
		talker, err := f.talker.StartCapture()
		if err != nil {
			return err
		}
		for range 500 {
			if err = f.sendLoad(&guest{f.asker, asker}, &guest{f.talker, talker}); err != nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if err := errors.Join(err, f.checkLoad(&guest{f.asker, asker}), asker.Close(), talker.Close()); err != nil {
			return err
		}
	}
	return nil
}

// sendLoad sends some frames.
func (f *soakTest) sendLoad(asker, talker *guest) error {
	n := f.number.Add(1)
	tenant := int(n % uint64(len(f.tenants)))
	addr := pool(tenant).Addr()
	for range n / uint64(len(f.tenants)) % 16 {
		addr = addr.Next()
	}
	mine, others := fmt.Appendf(nil, "%026d", n), fmt.Appendf(nil, "%s%020d", forged, n)
	to := asker.Addr.Addr()
	return errors.Join(
		asker.Send(asker.request(addr.String())),
		asker.Send(asker.request(f.tenants[tenant].Addr.Addr().String())),
		talker.Send(lab.EchoReply(asker.MAC, talker.MAC, talker.Addr.Addr(), to, mine)),
		talker.Send(lab.EchoReply(asker.MAC, talker.MAC, addr, to, others)),
		talker.Send(lab.EchoReply(asker.MAC, f.tenants[tenant].MAC, addr, to, others)),
	)
}

// checkLoad checks what has arrived at the asker.
func (f *soakTest) checkLoad(asker *guest) error {
	for i, tenant := range f.tenants {
		for addr := pool(i).Addr(); pool(i).Contains(addr); addr = addr.Next() {
			for _, answer := range answersFor(asker, addr) {
				f.answered.Add(1)
				if mac := net.HardwareAddr(answer[22:28]); !bytes.Equal(mac, tenant.MAC) {
					return fmt.Errorf("the answer for %s is %s, not %s", addr, mac, tenant.MAC)
				}
			}
		}
	}
	for _, seen := range asker.Frames() {
		if !seen.Sent && bytes.Contains(seen.Frame, []byte(forged)) {
			return fmt.Errorf("a forged packet has arrived: % x", seen.Frame)
		}
		if !seen.Sent && bytes.Equal(seen.Frame[6:12], f.talker.MAC) {
			f.delivered.Add(1)
		}
	}
	return nil
}
