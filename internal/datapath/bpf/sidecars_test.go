package bpf

import (
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/datapath/nft"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/registrytest"
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

// TestSidecarsRulesFollowTheProgram checks that rules send requests to the program only as long as it answers.
func TestSidecarsRulesFollowTheProgram(t *testing.T) {
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
	answered := datapath.Sidecar{Interface: port.Name, Index: port.Index, MAC: port.HardwareAddr, Network: datapath.Network{
		Name: "lab", Guests: []string{port.Name}, Registry: registrytest.Many(t, 10, 1),
	}}
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
