package bpf

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/datapath/nft"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	ebpflink "github.com/cilium/ebpf/link"
)

// A recorder records, at each Apply of the datapath beneath, where the guests' own requests go, and whether the program is there.
type recorder struct {
	datapath.Datapath
	d    *Datapath // above
	seen []string
}

func (r *recorder) Apply(p datapath.Plan, s link.Snapshot) error {
	at, err := ownRequestsPlace()
	if err != nil {
		return err
	}
	for _, sidecar := range p.Sidecars {
		knows := at.own != nil && r.d.have.isSidecar(sidecar.Index)
		r.seen = append(r.seen, fmt.Sprintf("to the program: %t, which answers: %t", sidecar.Answerer == loopback, knows))
	}
	return r.Datapath.Apply(p, s)
}

// openSidecar opens a datapath until the test ends, and returns it with one beneath that records, and a sidecar for plans.
func openSidecar(t *testing.T) (*recorder, *Datapath, datapath.Sidecar, link.Snapshot) {
	t.Helper()
	addPorts(t)
	links, err := link.ReadSnapshot()
	labtest.Must(t, err)
	port, err := net.InterfaceByName("vnet1")
	labtest.Must(t, err)
	beneath := &recorder{Datapath: nft.New()}
	d := New(beneath)
	beneath.d = d
	labtest.Must(t, d.Open())
	t.Cleanup(func() { d.Close() })
	t.Cleanup(func() { d.Remove() })
	return beneath, d, datapath.Sidecar{
		Interface: port.Name, Index: port.Index, MAC: port.HardwareAddr,
		Network: datapath.Network{Name: "lab", Guests: []string{port.Name}, Registry: registrytest.Many(t, 10, 1)},
	}, links
}

// TestSidecarsRulesFollowTheProgram checks that rules send requests to the program only as long as it answers.
func TestSidecarsRulesFollowTheProgram(t *testing.T) {
	beneath, d, answered, links := openSidecar(t)
	observed := answered
	observed.Observed, observed.Network.ARP = true, datapath.Observe
	for _, sidecar := range []datapath.Sidecar{observed, answered, observed} {
		labtest.Must(t, d.Apply(datapath.Plan{Sidecars: []datapath.Sidecar{sidecar}}, links))
	}
	want := []string{
		"to the program: false, which answers: false", // observed
		"to the program: true, which answers: true",   // answered
		"to the program: false, which answers: true",  // no longer, before the program goes
		"to the program: false, which answers: false",
	}
	if !slices.Equal(beneath.seen, want) {
		t.Errorf("%q\nwant %q", beneath.seen, want)
	}
	if at, err := ownRequestsPlace(); err != nil || at.own != nil {
		t.Errorf("the program is still there (%v)", err)
	}
}

// TestOthersAtLoopback has others come to the egress of the loopback interface, stay and go. The requests go to the program only
// while it is alone there. Each time the fabric installs the guard again, once.
func TestOthersAtLoopback(t *testing.T) {
	run := func(command ...string) {
		t.Helper()
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", command, err, out)
		}
	}
	for _, tt := range []struct {
		name string
		come func(*testing.T) (leave func())
	}{
		{"a classifier", func(t *testing.T) func() {
			labtest.NeedProgram(t, "tc")
			run("tc", "filter", "add", "dev", "lo", "egress", "pref", "10", "u32", "match", "u32", "0", "0", "flowid", "1:1")
			return func() { run("tc", "filter", "del", "dev", "lo", "egress", "pref", "10") }
		}},
		{"the qdisc ingress", func(t *testing.T) func() {
			labtest.NeedProgram(t, "tc")
			run("tc", "qdisc", "del", "dev", "lo", "clsact")
			run("tc", "qdisc", "add", "dev", "lo", "ingress")
			return func() { run("tc", "qdisc", "del", "dev", "lo", "ingress") }
		}},
		{"a table of nftables", func(t *testing.T) func() {
			labtest.NeedProgram(t, "nft")
			run("nft", "table netdev other { chain c { type filter hook egress device lo priority 0; drop; }; }")
			return func() { run("nft", "delete table netdev other") }
		}},
		{"tcx", attachTCX},
	} {
		t.Run(tt.name, func(t *testing.T) {
			beneath, d, sidecar, links := openSidecar(t)
			apply := func(when string, isAlone bool) {
				t.Helper()
				labtest.Must(t, d.Apply(datapath.Plan{Sidecars: []datapath.Sidecar{sidecar}}, links))
				if left := d.Program().LeftToFabric; (len(left) == 0) != isAlone {
					t.Errorf("%s: the fabric answers because of %q", when, left)
				}
				if last := beneath.seen[len(beneath.seen)-1]; strings.Contains(last, "to the program: true") != isAlone {
					t.Errorf("%s: %s", when, last)
				}
				if changed := d.Intact(true); len(changed) > 0 {
					t.Errorf("%s: %q has changed", when, changed)
				}
			}
			expectChange := func(when string) {
				t.Helper()
				if changed := d.Intact(true); !slices.Equal(changed, []string{part}) {
					t.Errorf("%s: %q has changed", when, changed)
				}
			}
			apply("alone", true)
			leave := tt.come(t)
			expectChange("others come")
			apply("others are there", false)
			leave()
			expectChange("others leave")
			apply("alone again", true)
		})
	}
}

// attachTCX attaches a program that lets everything pass to the egress of the loopback interface, with tcx.
func attachTCX(t *testing.T) (detach func()) {
	t.Helper()
	pass, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, AttachType: ebpf.AttachTCXEgress, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	labtest.Must(t, err)
	t.Cleanup(func() { pass.Close() })
	attached, err := ebpflink.AttachTCX(ebpflink.TCXOptions{Interface: loopback, Program: pass, Attach: ebpf.AttachTCXEgress})
	if errors.Is(err, ebpf.ErrNotSupported) {
		t.Skip("this kernel has no tcx")
	}
	labtest.Must(t, err)
	return func() { labtest.Must(t, attached.Close()) }
}
