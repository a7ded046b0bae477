package loadgen_test

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/loadgen"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

func TestMain(m *testing.M) {
	loadgen.RunChild()
	os.Exit(labtest.RunTests(m))
}

var job = loadgen.Job{
	Interface: "eth0",
	Sender:    netip.MustParseAddr("10.239.0.101"),
	Targets: []netip.Addr{
		netip.MustParseAddr("10.239.0.1"),
		netip.MustParseAddr("10.239.0.2"),
		netip.MustParseAddr("10.239.0.3"),
	},
	Requests: 8, // a whole burst three times, less one
	Burst:    3,
}

func TestLostRequestsAreSentAgain(t *testing.T) {
	guest := addGuest(t)
	answerEverySecond(t, guest.Port)
	result, err := loadgen.Run(job, guest.Start)
	if err != nil {
		t.Fatal(err)
	}
	if result.Lost < job.Requests {
		t.Errorf("%d lost, want %d at least", result.Lost, job.Requests)
	}
	if result.P99 <= 0 || result.P99 > result.Took {
		t.Errorf("the time of most answers is %v, of all %v", result.P99, result.Took)
	}
}

func TestNoAnswers(t *testing.T) {
	guest := addGuest(t)
	result, err := loadgen.Run(job, guest.Start)
	if err == nil {
		t.Fatalf("got %+v, want an error", result)
	}
	if want := "3 requests were sent 20 times and not answered"; !strings.Contains(err.Error(), want) {
		t.Errorf("got error %q, want %q in it", err, want)
	}
}

func addGuest(t *testing.T) *lab.Guest {
	t.Helper()
	mac := net.HardwareAddr{0x02, 0x00, 0x06, 0xde, 0x54, 0xa8}
	guest, err := lab.AddGuest(lab.GuestConfig{Name: "guest", Port: "vnet1", MAC: mac})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { guest.Delete() })
	return guest
}

// answerEverySecond answers every second request for each address, on a port.
func answerEverySecond(t *testing.T, port string) {
	t.Helper()
	device, err := net.InterfaceByName(port)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := wire.OpenInterface(device.Index)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go serve(conn, responder.New(everybody(t), responder.Policy{AnySender: true}))
}

func everybody(t *testing.T) *registry.Registry {
	t.Helper()
	all := registry.Binding{First: job.Targets[0], Last: job.Targets[2], MAC: registry.MAC{0x02, 0, 0, 0, 0, 1}}
	registry, err := registry.New(slices.Values([]registry.Binding{all}))
	if err != nil {
		t.Fatal(err)
	}
	return registry
}

func serve(conn wire.Conn, r *responder.Responder) {
	batch := make([]wire.Frame, wire.MaxBatch)
	seen := map[string]int{}
	for {
		n, err := conn.Read(batch)
		if err != nil {
			return
		}
		for _, frame := range batch[:n] {
			seen[string(frame.Data)]++
			out := make([]byte, responder.MaxReplyLen)
			if v := r.Decide(responder.Ingress{}, frame.Data, out); seen[string(frame.Data)]%2 == 0 {
				conn.Write([]wire.Frame{{Port: frame.Port, Data: out[:v.Len]}})
			}
		}
	}
}
