package fabric_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// TestPortChurn adds and removes a thousand ports while app sends requests. The fabric answers on every port, and
// answers all requests of app. No guest receives another's ARP. Removed ports leave nothing behind. New ports send
// requests before the fabric knows them, if the kernel can isolate them then.
func TestPortChurn(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 4
	}
	const atOnce = 50
	s := build(t, onBridge)
	fabric := start(t, network(s.attach))
	few := fabric.portCount()
	load := s.app.load(t, 5*time.Millisecond)

	comeAndGo := func() {
		fabric.answersOn(t, atOnce)
		labtest.Eventually(t, "the ports are gone", func() bool { return fabric.portCount() == few })
	}
	comeAndGo()
	goroutines, descriptors, memory := goleak.IgnoreCurrent(), len(listDescriptors(t)), heapInUse()
	for range rounds - 1 {
		comeAndGo()
	}
	goleak.VerifyNone(t, goroutines)
	// Before this, the fabric may still have been reading interfaces.
	labtest.Eventually(t, "the descriptors are no more than before", func() bool { return len(listDescriptors(t)) <= descriptors })
	const generous = 8 << 20 // includes the frames that the captures have recorded
	if now := heapInUse(); now > memory+generous {
		t.Errorf("the heap has grown from %d to %d kB", memory>>10, now>>10)
	}
	asked := load()
	labtest.Eventually(t, "app is answered each time", func() bool { return len(s.app.answers()) == asked })
	fabric.expectCounts(t, s.port, counts{responder.Answered: uint64(asked)}, "app has asked")
	s.expectSilence(t, s.db, s.idle)
}

// answersOn adds ports to br0, with one guest behind all of them. The guest sends requests on each until it is answered
// there. Then answersOn removes the ports.
func (r *running) answersOn(t *testing.T, ports int) {
	t.Helper()
	before := r.portCount()
	inside, err := lab.AddGuest(lab.GuestConfig{
		Name: "far", Port: "vnet4", MAC: net.HardwareAddr{0x02, 0x00, 0x09, 0xde, 0x54, 0xa8},
		Addr: netip.MustParsePrefix("10.239.0.104/24"),
	})
	labtest.Must(t, err)
	defer inside.Delete()
	far := &guest{Guest: inside}
	addPorts(t, far.Guest, ports)
	if !closesBridges() {
		labtest.Eventually(t, "the ports are known", func() bool { return r.portCount() == before+ports })
		r.settle(t)
	}
	waiting := far.setPortsUp(t, ports)

	var conn *wire.Packet
	labtest.Must(t, far.Do(func() (err error) { conn, err = wire.OpenPacket(0, unix.ETH_P_ARP); return err }))
	answered, ended := make(chan int, 100*ports), make(chan struct{})
	go func() {
		defer close(ended)
		far.readAnswers(t, conn, answered)
	}()
	request := far.request(gatewayAddr).Frame()
	repeat(t, "all ports are answered", func() {
		var batch []wire.Frame
		for index := range waiting {
			batch = append(batch, wire.Frame{Port: index, Data: request})
		}
		conn.Write(batch)
	}, func() bool {
		for len(answered) > 0 {
			delete(waiting, <-answered)
		}
		return len(waiting) == 0
	})
	labtest.Must(t, conn.Close())
	<-ended
}

// readAnswers sends the ifindex on which each answer arrives to answered, until conn is closed. Other frames fail the
// test.
func (g *guest) readAnswers(t *testing.T, conn *wire.Packet, answered chan<- int) {
	batch := make([]wire.Frame, wire.MaxBatch)
	for {
		n, err := conn.Read(batch)
		if err != nil {
			return
		}
		for _, f := range batch[:n] {
			if len(f.Data) != responder.MinFrameLen || !bytes.Equal(f.Data[:6], g.MAC) {
				t.Errorf("%s received %s (%x)", g.Name, responder.Describe(f.Data), f.Data)
			}
			answered <- f.Port
		}
	}
}

// setPortsUp sets both ends of the ports that addPorts made up, and returns the indexes of the ends in the guest.
func (g *guest) setPortsUp(t *testing.T, n int) map[int]bool {
	t.Helper()
	indexes := map[int]bool{}
	for i := range n {
		setUp(t, fmt.Sprintf("many%d", i))
	}
	labtest.Must(t, g.Do(func() error {
		for i := range n {
			name := fmt.Sprintf("far%d", i)
			if err := link.Up(name); err != nil {
				return err
			}
			dev, err := net.InterfaceByName(name)
			if err != nil {
				return err
			}
			indexes[dev.Index] = true
		}
		return nil
	}))
	return indexes
}

// load makes the guest request the gateway's MAC all the time, until stop is called. stop returns the number of
// requests.
func (g *guest) load(t *testing.T, every time.Duration) (stop func() int) {
	t.Helper()
	request := g.request(gatewayAddr).Frame()
	stopped, asked := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		pause := time.NewTicker(every)
		defer pause.Stop()
		for {
			select {
			case <-stopped:
				asked <- n
				return
			case <-pause.C:
				if g.Send(request) == nil {
					n++
				}
			}
		}
	}()
	return func() int {
		close(stopped)
		return <-asked
	}
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
