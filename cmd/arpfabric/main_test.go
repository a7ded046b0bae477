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

	"github.com/arpfabric/arpfabric/internal/guard"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/google/nftables"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

// asProgram makes the test program be arpfabric itself.
const asProgram = "ARPFABRIC_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(lab.RunTests(m))
}

// skipIfShort leaves out, in an emulated machine, what asks nothing of the kernel, or no more than other tests do.
func skipIfShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("left out of -short tests: it asks nothing more of the kernel than others do")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A program is arpfabric as it runs.
type program struct {
	*exec.Cmd
	output output
	ended  chan struct{}
}

// output gathers what a program writes.
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

// arpfabric starts the program with arguments, behind a prefix such as "setpriv". It is killed when the
// test ends, at the latest.
func arpfabric(t *testing.T, prefix []string, args ...string) *program {
	t.Helper()
	return launch(t, (*exec.Cmd).Start, prefix, args...)
}

// launch starts the program with arguments, behind a prefix, as start does.
func launch(t *testing.T, start func(*exec.Cmd) error, prefix []string, args ...string) *program {
	t.Helper()
	self, err := filepath.Abs(os.Args[0])
	must(t, err)
	line := append(append(prefix, self), args...)
	p := &program{Cmd: exec.Command(line[0], line[1:]...), ended: make(chan struct{})}
	p.Env = append(os.Environ(), asProgram+"=1")
	p.Stdout, p.Stderr = &p.output, &p.output
	must(t, start(p.Cmd))
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

// runToEnd runs the program until it ends, and returns its exit code and what it wrote.
func runToEnd(t *testing.T, prefix []string, args ...string) (int, string) {
	t.Helper()
	p := arpfabric(t, prefix, args...)
	return p.wait(t), p.output.String()
}

func (p *program) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(lab.Patience):
		t.Fatalf("still running after %v:\n%s", lab.Patience, p.output.String())
	}
	return p.ProcessState.ExitCode()
}

func (p *program) expectLog(t *testing.T, text string) {
	t.Helper()
	lab.Eventually(t, fmt.Sprintf("%q is logged", text), func() bool {
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
		guard.New(0).Remove()
		lab.DeleteLink(bridgeName)
	})
	must(t, lab.AddBridge(bridgeName))
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
	must(t, err)
	t.Cleanup(func() { inside.Delete() })
	capture, err := inside.StartCapture()
	must(t, err)
	t.Cleanup(func() { capture.Close() })
	return &guest{inside, capture}
}

// request is what a guest broadcasts to resolve an address.
func (g *guest) request(target string) []byte {
	return lab.ARP{
		Destination: ethernet.Broadcast, Source: g.MAC,
		Operation:          arp.OperationRequest,
		SenderHardwareAddr: g.MAC, SenderIP: g.Addr.Addr(),
		TargetHardwareAddr: make([]byte, 6), TargetIP: netip.MustParseAddr(target),
	}.Frame()
}

// heard counts the ARP that has arrived at the guest.
func (g *guest) heard() int {
	n := 0
	for _, s := range g.Frames() {
		if !s.Sent && lab.CarriesARP(s.Frame) {
			n++
		}
	}
	return n
}

// expectAnswered asks for the gateway until an answer comes.
func (g *guest) expectAnswered(t *testing.T) {
	t.Helper()
	before := g.heard()
	lab.Eventually(t, g.Name+" is answered", func() bool {
		g.Send(g.request("10.239.0.1"))
		return g.heard() > before
	})
}

// expectSilence holds that db has heard no ARP, up to a frame that app sends it now.
func (s *stage) expectSilence(t *testing.T) {
	t.Helper()
	mark := lab.EchoReply(s.db.MAC, s.app.MAC, s.app.Addr.Addr(), s.db.Addr.Addr(), fmt.Appendf(nil, "%026d", time.Now().UnixNano()))
	lab.Eventually(t, "a mark arrives at db", func() bool {
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

// guardIsThere reports whether there is a guard in the kernel.
func guardIsThere(t *testing.T) bool {
	t.Helper()
	c, err := nftables.New()
	must(t, err)
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyBridge)
	must(t, err)
	for _, table := range tables {
		if table.Name == guard.TableName {
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

// write writes a configuration and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "arpfabric.yaml")
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// onBridge is the configuration of the stage; more goes below the network's name or behind it.
func onBridge(more string) string { return attached("{bridge: br0}", more) }

// onTAP is the same by a TAP.
func onTAP(more string) string { return attached("{tap: {name: arp0, bridge: br0}}", more) }

func attached(attach, more string) string {
	return "networks:\n  lab:\n    attach: " + attach + bindings + more
}

// eachGuarded runs a test with each way to guard the stage.
func eachGuarded(t *testing.T, test func(t *testing.T, configure func(more string) string)) {
	t.Run("bridge", func(t *testing.T) { test(t, onBridge) })
	t.Run("tap", func(t *testing.T) {
		lab.NeedTUN(t)
		test(t, onTAP)
	})
}
