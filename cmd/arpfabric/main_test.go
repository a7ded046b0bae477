package main

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/datapath/nft"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/google/nftables"
)

// asProgram names an environment variable. If it is set, the test program runs as arpfabric.
const asProgram = "ARPFABRIC_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(labtest.RunTests(m))
}

// skipIfShort skips a test in an emulated machine if it needs nothing of the kernel that other tests do not cover.
func skipIfShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped by -short: other tests cover the same features of the kernel")
	}
}

// A program is a running arpfabric.
type program struct {
	*exec.Cmd
	output output
	ended  chan struct{}
}

// output collects the output of a program.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// arpfabric starts the program with arguments, behind a prefix such as "setpriv". It kills the program at the end of
// the test.
func arpfabric(t *testing.T, prefix []string, args ...string) *program {
	t.Helper()
	return launch(t, (*exec.Cmd).Start, prefix, args...)
}

// launch is like arpfabric, but calls start to start the command.
func launch(t testing.TB, start func(*exec.Cmd) error, prefix []string, args ...string) *program {
	t.Helper()
	self, err := filepath.Abs(os.Args[0])
	labtest.Must(t, err)
	line := append(append(prefix, self), args...)
	p := &program{Cmd: exec.Command(line[0], line[1:]...), ended: make(chan struct{})}
	p.Env = append(os.Environ(), asProgram+"=1")
	p.Stdout, p.Stderr = &p.output, &p.output
	labtest.Must(t, start(p.Cmd))
	go func() {
		p.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.Process.Kill()
		<-p.ended
	})
	return p
}

// runToEnd runs the program until it ends, and returns its exit code and its output.
func runToEnd(t *testing.T, prefix []string, args ...string) (int, string) {
	t.Helper()
	p := arpfabric(t, prefix, args...)
	return p.wait(t), p.output.String()
}

func (p *program) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(labtest.Patience):
		t.Fatalf("still running after %v:\n%s", labtest.Patience, p.output.String())
	}
	return p.ProcessState.ExitCode()
}

func (p *program) expectLog(t testing.TB, text string) {
	t.Helper()
	labtest.Eventually(t, fmt.Sprintf("%q is logged", text), func() bool {
		select {
		case <-p.ended:
			t.Fatalf("ended:\n%s", p.output.String())
		default:
		}
		return strings.Contains(p.output.String(), text)
	})
}

// A stage is a bridge with two guests.
type stage struct{ app, db *guest }

type guest struct {
	*lab.Guest
	*lab.Capture
}

const bridgeName = "br0"

func newStage(t *testing.T) *stage {
	t.Helper()
	t.Cleanup(func() {
		nft.NewBridgeTable(0).Remove()
		lab.DeleteLink(bridgeName)
		os.Remove("/run/arpfabric/api.violations.json") // a fabric keeps them for the next one
	})
	labtest.Must(t, lab.AddBridge(bridgeName))
	return &stage{app: addGuest(t, 1, "app"), db: addGuest(t, 2, "db")}
}

func addGuest(t *testing.T, n byte, name string) *guest {
	t.Helper()
	return addGuestAt(t, n, name, net.HardwareAddr{0x02, 0x00, 0x05 + n, 0xde, 0x54, 0xa8}, fmt.Sprintf("10.239.0.%d/24", 100+n))
}

// addGuestAt makes a guest on port vnet<n>.
func addGuestAt(t *testing.T, n byte, name string, mac net.HardwareAddr, addr string) *guest {
	t.Helper()
	inside, err := lab.AddGuest(lab.GuestConfig{
		Name: name, Port: fmt.Sprintf("vnet%d", n), Bridge: bridgeName, MAC: mac, Addr: netip.MustParsePrefix(addr),
	})
	labtest.Must(t, err)
	t.Cleanup(func() { inside.Delete() })
	capture, err := inside.StartCapture()
	labtest.Must(t, err)
	t.Cleanup(func() { capture.Close() })
	return &guest{inside, capture}
}

// request returns the request that a guest broadcasts to resolve an address.
func (g *guest) request(target string) []byte {
	return lab.Request(g.MAC, g.Addr.Addr(), netip.MustParseAddr(target)).Frame()
}

// heard counts the ARP frames that have arrived at the guest.
func (g *guest) heard() int {
	n := 0
	for _, s := range g.Frames() {
		if !s.Sent && lab.CarriesARP(s.Frame) {
			n++
		}
	}
	return n
}

// received counts how often a frame has arrived at the guest.
func (g *guest) received(frame []byte) int {
	n := 0
	for _, s := range g.Frames() {
		if !s.Sent && bytes.Equal(s.Frame, frame) {
			n++
		}
	}
	return n
}

// expectAnswered sends requests for the gateway until an answer arrives.
func (g *guest) expectAnswered(t *testing.T) {
	t.Helper()
	before := g.heard()
	labtest.Eventually(t, g.Name+" is answered", func() bool {
		g.Send(g.request("10.239.0.1"))
		return g.heard() > before
	})
}

// expectSilence checks that db has received no ARP before a frame that app sends to it now.
func (s *stage) expectSilence(t *testing.T) {
	t.Helper()
	mark := lab.EchoReply(s.db.MAC, s.app.MAC, s.app.Addr.Addr(), s.db.Addr.Addr(), fmt.Appendf(nil, "%026d", time.Now().UnixNano()))
	labtest.Eventually(t, "a mark arrives at db", func() bool {
		s.app.Send(mark)
		for _, seen := range s.db.Frames() {
			if bytes.Equal(seen.Frame, mark) {
				return true
			}
		}
		return false
	})
	if n := s.db.heard(); n > 0 {
		t.Errorf("db heard %d ARP frames", n)
	}
}

// guardIsThere reports whether the kernel has a guard.
func guardIsThere(t *testing.T) bool {
	t.Helper()
	c, err := nftables.New()
	labtest.Must(t, err)
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyBridge)
	labtest.Must(t, err)
	for _, table := range tables {
		if table.Name == nft.TableName {
			return true
		}
	}
	return false
}

const bindings = `
    registry:
      10.239.0.1:   "02:00:00:de:54:a8"
      10.239.0.101: "02:00:06:de:54:a8"
      10.239.0.102: "02:00:07:de:54:a8"
`

// onBridge returns the configuration of the stage. more follows the registry: other keys of the network, or of the
// file.
func onBridge(more string) string { return attached("{bridge: br0}", more) }

// onTAP does the same, with a TAP.
func onTAP(more string) string { return attached("{tap: {name: arp0, bridge: br0}}", more) }

func attached(attach, more string) string {
	return "networks:\n  lab:\n    attach: " + attach + bindings + more
}

// eachGuarded runs a test with each way to guard the stage.
func eachGuarded(t *testing.T, test func(t *testing.T, configure func(more string) string)) {
	t.Run("bridge", func(t *testing.T) { test(t, onBridge) })
	t.Run("tap", func(t *testing.T) {
		labtest.NeedTUN(t)
		test(t, onTAP)
	})
}
