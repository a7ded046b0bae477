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
	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/arpfabric/arpfabric/internal/wire"
	"github.com/arpfabric/arpfabric/responder"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// TestPortsComeAndGo adds and removes a thousand ports while app asks. Every port is answered, as is every request
// of app; nobody hears anybody; and the ports that are gone have left nothing behind. Those that come ask before they
// are known, if the kernel can keep them apart then.
func TestPortsComeAndGo(t *testing.T) {
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
		lab.Eventually(t, "the ports are gone", func() bool { return fabric.portCount() == few })
	}
	comeAndGo()
	goroutines, descriptors, memory := goleak.IgnoreCurrent(), len(listDescriptors(t)), heapInUse()
	for range rounds - 1 {
		comeAndGo()
	}
	goleak.VerifyNone(t, goroutines)
	// Before, the fabric may still have been looking at its interfaces.
	lab.Eventually(t, "the descriptors are no more than before", func() bool { return len(listDescriptors(t)) <= descriptors })
	const generous = 8 << 20 // with what the captures have recorded meanwhile
	if now := heapInUse(); now > memory+generous {
		t.Errorf("the heap has grown from %d to %d kB", memory>>10, now>>10)
	}
	asked := load()
	lab.Eventually(t, "app is answered each time", func() bool { return len(s.app.answers()) == asked })
	fabric.expectCounts(t, s.port, counts{responder.Answered: uint64(asked)}, "app has asked")
	s.expectSilence(t, s.db, s.idle)
}

// answersOn adds that many ports to br0, with one guest behind them all, has it ask on each until it is answered
// there, and takes them away again.
func (r *running) answersOn(t *testing.T, ports int) {
	t.Helper()
	before := r.portCount()
	inside, err := lab.AddGuest(lab.GuestConfig{
		Name: "far", Port: "vnet4", MAC: net.HardwareAddr{0x02, 0x00, 0x09, 0xde, 0x54, 0xa8},
		Addr: netip.MustParsePrefix("10.239.0.104/24"),
	})
	must(t, err)
	defer inside.Delete()
	far := &guest{Guest: inside}
	addPorts(t, far, ports)
	if !closesBridges() {
		lab.Eventually(t, "the ports are known", func() bool { return r.portCount() == before+ports })
		r.settle(t)
	}
	waiting := far.setPortsUp(t, ports)

	var conn *wire.Packet
	must(t, far.Do(func() (err error) { conn, err = wire.OpenPacket(0, unix.ETH_P_ARP); return err }))
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
	must(t, conn.Close())
	<-ended
}

// readAnswers tells on which interface each answer arrives, until conn is closed. Nothing else may arrive.
func (g *guest) readAnswers(t *testing.T, conn *wire.Packet, answered chan<- int) {
	batch := make([]wire.Frame, wire.MaxBatch)
	for {
		n, err := conn.Read(batch)
		if err != nil {
			return
		}
		for _, f := range batch[:n] {
			if len(f.Data) != responder.MinFrameLen || !bytes.Equal(f.Data[:6], g.MAC) {
				t.Errorf("%s heard %s (%x)", g.Name, responder.Describe(f.Data), f.Data)
			}
			answered <- f.Port
		}
	}
}

// setPortsUp sets the ports that addPorts made up, on both ends, and returns the indexes of those in the guest.
func (g *guest) setPortsUp(t *testing.T, n int) map[int]bool {
	t.Helper()
	indexes := map[int]bool{}
	for i := range n {
		setUp(t, fmt.Sprintf("many%d", i))
	}
	must(t, g.Do(func() error {
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

// load makes the guest ask for the gateway all the time, until the function it returns is called, which returns how
// often it did.
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
