package bpf

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/datapath/nft"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/registrytest"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/cilium/ebpf"
)

// BenchmarkProgram measures how long the program takes for an answer and for a forwarded frame, as the kernel itself
// measures it (BPF_PROG_TEST_RUN), and how long it takes to write the bindings into the maps. The times are medians: the
// kernel runs the program once, because an answer overwrites the request.
func BenchmarkProgram(b *testing.B) {
	addPorts(b)
	for _, size := range []uint32{10, 100_000, 1_000_000} {
		b.Run(fmt.Sprint("bindings=", size), func(b *testing.B) {
			r := registrytest.Many(b, size, 1)
			app, db := nth(b, r, 0), nth(b, r, 1)
			p, took := fillMany(b, r, app, db)
			defer p.Close()
			b.ReportMetric(took.Seconds(), "s-to-write")
			b.ReportMetric(medianRun(b, p, lab.Request(app.MAC[:], app.First, db.First).Frame(), 1), "ns/answer")
			b.ReportMetric(medianRun(b, p, datagram(app, db), 1000), "ns/forwarded")
		})
	}
}

func nth(b *testing.B, r *registry.Registry, n int) registry.Binding {
	for binding := range r.All() {
		if n == 0 {
			return binding
		}
		n--
	}
	b.Fatal("there are too few bindings")
	return registry.Binding{}
}

// fillMany returns a program with a registry in which two guests are located, and the time that it took to write it.
func fillMany(b *testing.B, r *registry.Registry, app, db registry.Binding) (*program, time.Duration) {
	d := New(nft.New())
	labtest.Must(b, d.Open())
	labtest.Must(b, d.openAnswers())
	defer d.Close()
	links, err := link.ReadSnapshot()
	labtest.Must(b, err)
	n := datapath.Network{
		Name: "lab", Bridge: "br0", Guests: guestPorts, ARP: datapath.HandOver, AllowList: datapath.Enforce, Registry: r,
		Locations: map[registry.MAC]datapath.Location{app.MAC: {Port: guestPorts[0]}, db.MAC: {Port: guestPorts[1]}},
	}
	want := d.contentsOf(datapath.Plan{Networks: []datapath.Network{n}}, links, always(""))
	p, err := load(want.needed().withRoom(), d.answers.shared())
	labtest.Must(b, err)
	begin := time.Now()
	labtest.Must(b, p.write(contents{}, want, d.ports))
	took := time.Since(begin)
	// The kernel runs the program as at lo.
	const lo = uint32(1)
	index := indexOf(b, links, guestPorts[0])
	labtest.Must(b, p.Ports.Put(lo, want.ports[index]))
	labtest.Must(b, p.Counts.Put(lo, make([]guardCounters, ebpf.MustPossibleCPU())))
	for guest, at := range want.locations {
		if at.Port == index {
			at.Port = lo
			labtest.Must(b, p.Locations.Put(guest, at))
		}
	}
	return p, took
}

func indexOf(b *testing.B, links link.Snapshot, name string) uint32 {
	l, ok := links.Find(name)
	if !ok {
		b.Fatalf("there is no %s", name)
	}
	return uint32(l.Index)
}

// datagram returns an empty UDP datagram in the smallest Ethernet frame.
func datagram(from, to registry.Binding) []byte {
	f := slices.Concat(to.MAC[:], from.MAC[:], []byte{8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0}, from.First.AsSlice(), to.First.AsSlice())
	return append(f, make([]byte, 60-len(f))...)
}

// medianRun returns a median in nanoseconds. A frame with a result that can be repeated is repeated.
func medianRun(b *testing.B, p *program, frame []byte, repeat int) float64 {
	var times []time.Duration
	for range 2000 / repeat {
		code, took, err := p.Arpfabric.Benchmark(frame, repeat, nil)
		labtest.Must(b, err)
		if code != redirect {
			b.Fatalf("the program returns %d", code)
		}
		times = append(times, took)
	}
	slices.Sort(times)
	return float64(times[len(times)/2].Nanoseconds())
}
