package bpf

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/datapath/nft"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
)

// A pair is the program with a registry of two guests, app behind the first guest port and db behind the second.
type pair struct {
	*program
	app, db registry.Binding
	port    int // ifindex of app's
}

func newPair(t *testing.T, app registry.Binding) pair {
	t.Helper()
	addPorts(t)
	links, err := link.ReadSnapshot()
	labtest.Must(t, err)
	d := New(nft.New())
	labtest.Must(t, d.Open())
	labtest.Must(t, d.openAnswers())
	t.Cleanup(func() { d.Close() })
	d.ports = manyNumbers()
	db := registrytest.Bind("10.239.0.102", "02:00:07:de:54:a8")
	n := datapath.Network{
		Name: "lab", Bridge: "br0", Guests: guestPorts, ARP: datapath.HandOver, AllowList: datapath.Enforce,
		Registry: registrytest.New(t, app, db), Locations: map[registry.MAC]datapath.Location{
			app.MAC: {Port: guestPorts[0]}, db.MAC: {Port: guestPorts[1]},
		},
	}
	want := d.contentsOf(datapath.Plan{Networks: []datapath.Network{n}}, links, always(""))
	p, err := load(want.needed().withRoom(), d.answers.shared())
	labtest.Must(t, err)
	t.Cleanup(func() { p.Close() })
	labtest.Must(t, p.write(contents{}, want, d.ports))
	port, _ := links.Find(guestPorts[0])
	return pair{p, app, db, port.Index}
}

// manyNumbers returns the numbers of more ports than a host has at once.
func manyNumbers() numbers {
	n := numbers{}
	for i := range 1<<16 - 3 { // elsewhere gets 1<<16
		n[string(binary.BigEndian.AppendUint32(nil, uint32(i)))] = uint32(i) + 1
	}
	return n
}

var appsBinding = registrytest.Bind("10.239.0.101", "02:00:06:de:54:a8")

// TestLongFrames holds that a frame that is longer than the MTU of its destination's port goes past the bridge only if the
// kernel cuts it into segments, as in the bridge.
func TestLongFrames(t *testing.T) {
	p := newPair(t, appsBinding)
	for _, tt := range []struct {
		name                string
		length              int
		segments, size      uint32
		isSentPastTheBridge bool
	}{
		{"as long as the MTU", 1514, 1, 0, true},
		{"longer", 1600, 0, 0, false},
		{"longer, TCP of one segment, as a container sends it", 1600, 1, 0, false},
		{"several segments", 3000, 2, 1448, true},
		{"several segments that nobody has counted, as a TAP sends them", 3000, 0, 1448, true},
	} {
		// The layout of struct __sk_buff (linux/bpf.h), in bytes.
		const segments, size = 164, 176
		in := make([]byte, contextLen)
		binary.NativeEndian.PutUint32(in[contextIfindex:], uint32(p.port))
		binary.NativeEndian.PutUint32(in[segments:], tt.segments)
		binary.NativeEndian.PutUint32(in[size:], tt.size)
		frame := append(datagram(p.app, p.db), make([]byte, tt.length-60)...)
		code, err := p.Arpfabric.Run(&ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)), Context: in})
		labtest.Must(t, err)
		if isSent := code == redirect; isSent != tt.isSentPastTheBridge {
			t.Errorf("%s: past the bridge %v, want %v", tt.name, isSent, tt.isSentPastTheBridge)
		}
	}
}

// TestForwardsAsLongAsChecked holds that frames go past the bridge only as long as somebody looks whether they still may.
// Without a fabric, nobody notices that a port leaves the bridge, or is isolated.
func TestForwardsAsLongAsChecked(t *testing.T) {
	p := newPair(t, appsBinding)
	if got := run(t, p.program.Arpfabric, p.port, datagram(p.app, p.db)); got.reason != responder.Admitted {
		t.Errorf("at first: %+v", got)
	}
	labtest.Must(t, p.forwardFor(-1))
	if got := run(t, p.program.Arpfabric, p.port, datagram(p.app, p.db)); got.isHandled {
		t.Errorf("after the time: %+v", got)
	}
	if got := run(t, p.program.Arpfabric, p.port, lab.Request(p.app.MAC[:], p.app.First, p.db.First).Frame()); got.reason != responder.Answered {
		t.Errorf("a request after the time: %+v", got)
	}
}

// TestManyPortNames holds that a guest may not send from a port that its binding does not name, however many ports there
// have been.
func TestManyPortNames(t *testing.T) {
	app := appsBinding
	app.Port = "elsewhere"
	p := newPair(t, app)
	if got := run(t, p.program.Arpfabric, p.port, lab.Request(p.app.MAC[:], p.app.First, p.db.First).Frame()); got.isHandled {
		t.Errorf("the request of a spoofer: %+v", got)
	}
}

// TestOthersRules holds that no frame goes past the bridge while others have rules that see it there.
func TestOthersRules(t *testing.T) {
	labtest.NeedProgram(t, "nft")
	addPorts(t)
	links, err := link.ReadSnapshot()
	labtest.Must(t, err)
	os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte("0"), 0o644) // an error means that there is no br_netfilter
	for rules, isDirect := range map[string]bool{
		"": true,
		"table inet other { chain c { type filter hook ingress device vnet1 priority 0; drop; }; }": false,
		"table netdev other { chain c { type filter hook ingress device vnet1 priority 0; }; }":     false,
		"table bridge other { chain c { type filter hook forward priority 0; }; }":                  false,
	} {
		out, err := exec.Command("nft", rules).CombinedOutput()
		if err != nil {
			t.Fatalf("nft %s: %v: %s", rules, err, out)
		}
		if got := detours(nil, links)(guestPorts[0]) == ""; got != isDirect {
			t.Errorf("past the bridge with %s: %v", rules, got)
		}
		labtest.Must(t, exec.Command("nft", "flush ruleset").Run())
	}
}

// TestRunsAfterOthers holds that the classifiers of others see the guest's frames first, whenever they come.
func TestRunsAfterOthers(t *testing.T) {
	labtest.NeedProgram(t, "tc")
	p := newPair(t, appsBinding)
	tc := func(arguments ...string) {
		t.Helper()
		if out, err := exec.Command("tc", arguments...).CombinedOutput(); err != nil {
			t.Fatalf("tc %v: %v: %s", arguments, err, out)
		}
	}
	tc("qdisc", "add", "dev", guestPorts[0], "ingress")
	tc("filter", "add", "dev", guestPorts[0], "ingress", "u32", "match", "u32", "0", "0", "flowid", "1:1")
	labtest.Must(t, attach(uint32(p.port), p.Arpfabric))
	tc("filter", "add", "dev", guestPorts[0], "ingress", "u32", "match", "u32", "0", "0", "flowid", "1:1")
	filters, err := netlink.FilterList(linkOf(uint32(p.port)), parent)
	labtest.Must(t, err)
	for _, f := range filters {
		if f.Type() != "bpf" && f.Attrs().Priority >= priority {
			t.Errorf("the program comes before %+v", f)
		}
	}
	if len(filters) < 3 {
		t.Errorf("the port has %v", filters)
	}
}

// TestClsact holds that the program gets along with the qdisc that others have added.
func TestClsact(t *testing.T) {
	labtest.NeedProgram(t, "tc")
	p := newPair(t, appsBinding)
	labtest.Must(t, exec.Command("tc", "qdisc", "add", "dev", guestPorts[0], "clsact").Run())
	labtest.Must(t, attach(uint32(p.port), p.Arpfabric))
	labtest.Must(t, attach(uint32(p.port), p.Arpfabric)) // in the place of itself
	found, err := places(nil)
	labtest.Must(t, err)
	if at := found[uint32(p.port)]; at.own == nil || at.hasOthers {
		t.Errorf("attached: %+v", at)
	}
	labtest.Must(t, Remove())
	found, err = places(nil)
	labtest.Must(t, err)
	if at := found[uint32(p.port)]; at.own != nil || at.qdisc != clsact {
		t.Errorf("removed: %+v", at)
	}
}

// open opens a datapath until the test ends, and returns the interfaces as they are.
func open(t *testing.T) (*Datapath, link.Snapshot) {
	t.Helper()
	links, err := link.ReadSnapshot()
	labtest.Must(t, err)
	d := New(nft.New())
	labtest.Must(t, d.Open())
	t.Cleanup(func() { d.Close() })
	t.Cleanup(func() { d.Remove() })
	return d, links
}

// TestNewPortWaits holds that a port gets the program only some time after it has joined. libvirt adds a qdisc before.
func TestNewPortWaits(t *testing.T) {
	addPorts(t)
	d, links := open(t)
	d.settling = time.Hour
	n := datapath.Network{Name: "lab", Bridge: "br0", ARP: datapath.HandOver, Registry: registrytest.New(t, appsBinding)}
	for _, guests := range [][]string{guestPorts[:1], guestPorts} {
		n.Guests = guests
		labtest.Must(t, d.Apply(datapath.Plan{Networks: []datapath.Network{n}}, links))
	}
	has := func(port string) bool {
		l, _ := links.Find(port)
		found, err := places(nil)
		labtest.Must(t, err)
		return found[uint32(l.Index)].has(idOf(d.program.Arpfabric))
	}
	for _, settling := range []time.Duration{time.Hour, 0} {
		d.settling = settling
		if changed := d.Intact(true); len(changed) > 0 {
			t.Errorf("after %v, %q has changed", settling, changed)
		}
		if !has(guestPorts[0]) || has(guestPorts[1]) != (settling == 0) {
			t.Errorf("after %v, %s has a program: %t; %s: %t", settling, guestPorts[0], has(guestPorts[0]), guestPorts[1], has(guestPorts[1]))
		}
	}
}

// TestPortRefused holds that a port that can't have the program, because it shares its classifiers with another interface,
// keeps it from no other port, and that Warnings says so.
func TestPortRefused(t *testing.T) {
	labtest.NeedProgram(t, "tc")
	addPorts(t)
	if out, err := exec.Command("tc", "qdisc", "add", "dev", guestPorts[1], "ingress_block", "7", "ingress").CombinedOutput(); err != nil {
		t.Fatalf("tc: %v: %s", err, out)
	}
	d, links := open(t)
	n := datapath.Network{Name: "lab", Bridge: "br0", ARP: datapath.HandOver, Registry: registrytest.New(t, appsBinding), Guests: guestPorts}
	labtest.Must(t, d.Apply(datapath.Plan{Networks: []datapath.Network{n}}, links))
	found, err := places(nil)
	labtest.Must(t, err)
	for i, has := range []bool{true, false} {
		l, _ := links.Find(guestPorts[i])
		if found[uint32(l.Index)].has(idOf(d.program.Arpfabric)) != has {
			t.Errorf("%s has the program: %t", l.Name, !has)
		}
	}
	if err := d.Failure(); err != nil {
		t.Error(err)
	}
	if changed := d.Intact(true); len(changed) > 0 {
		t.Errorf("%q has changed", changed)
	}
	if w := d.Warnings(); !slices.ContainsFunc(w, func(w string) bool { return strings.Contains(w, guestPorts[1]) }) {
		t.Errorf("warnings: %q", w)
	}
	if left := d.Program().LeftToFabric; len(left) != 1 || !strings.Contains(left[0], guestPorts[1]) {
		t.Errorf("the fabric answers because of %q", left)
	}
}

// TestPortIsFree holds that a port that could not have the program gets it when what kept it from that is gone, also where no
// other port has one.
func TestPortIsFree(t *testing.T) {
	labtest.NeedProgram(t, "tc")
	for _, guests := range [][]string{guestPorts, guestPorts[1:]} {
		t.Run(fmt.Sprint(guests), func(t *testing.T) {
			addPorts(t)
			labtest.Must(t, exec.Command("tc", "qdisc", "add", "dev", guestPorts[1], "ingress_block", "7", "ingress").Run())
			d, links := open(t)
			d.settling = 0
			plan := datapath.Plan{Networks: []datapath.Network{{
				Name: "lab", Bridge: "br0", ARP: datapath.HandOver, Registry: registrytest.New(t, appsBinding), Guests: guests,
			}}}
			labtest.Must(t, d.Apply(plan, links))
			if changed := d.Intact(true); len(changed) > 0 {
				t.Errorf("%q has changed while the port is refused", changed)
			}
			labtest.Must(t, exec.Command("tc", "qdisc", "del", "dev", guestPorts[1], "ingress_block", "7", "ingress").Run())
			if changed := d.Intact(true); !slices.Equal(changed, []string{part}) {
				t.Errorf("%q has changed when the port is free", changed)
			}
			labtest.Must(t, d.Apply(plan, links))
			found, err := places(nil)
			labtest.Must(t, err)
			l, _ := links.Find(guestPorts[1])
			if err := d.Failure(); err != nil || d.program == nil || !found[uint32(l.Index)].has(idOf(d.program.Arpfabric)) {
				t.Errorf("%s has no program (%v)", guestPorts[1], err)
			}
		})
	}
}

// TestNoVLAN holds that a guest port that is in no VLAN, such as those of a bridge that no longer filters VLANs, gets no
// answers in the network of one.
func TestNoVLAN(t *testing.T) {
	addPorts(t)
	links, err := link.ReadSnapshot()
	labtest.Must(t, err)
	n := datapath.Network{Name: "lab", Bridge: "br0", VLAN: 10, Guests: guestPorts, Registry: registrytest.New(t, appsBinding)}
	if c := New(nft.New()).contentsOf(datapath.Plan{Networks: []datapath.Network{n}}, links, always("")); len(c.ports) > 0 {
		t.Errorf("the ports %v get answers", c.ports)
	}
}
