package fabric_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

// TestSeed repeats the requests of a capture from a real VPC, with common clients, and compares the output of tcpdump.
func TestSeed(t *testing.T) {
	labtest.NeedProgram(t, "arping", "ping", "tcpdump")
	each(t, attachments, func(t *testing.T, s *stage) {
		start(t, network(s.attach))
		app, idle := startTcpdump(t, s.app), startTcpdump(t, s.idle)

		s.app.expectSuccess(t, "arping", "-f", "-w", "20", "-I", "eth0", "10.239.0.1")
		app.expect(t, "ARP, Reply 10.239.0.1 is-at 02:00:00:de:54:a8, length 46")

		s.app.expectSuccess(t, "arping", "-f", "-w", "20", "-I", "eth0", "10.239.0.102")
		app.expect(t, "ARP, Reply 10.239.0.102 is-at 02:00:07:de:54:a8, length 46")

		s.app.expectSuccess(t, "arping", "-D", "-c", "2", "-I", "eth0", "10.239.0.101")
		app.expect(t, "ARP, Request who-has 10.239.0.101 (ff:ff:ff:ff:ff:ff) tell 0.0.0.0, length 28",
			"ARP, Reply 10.239.0.101 is-at 02:00:06:de:54:a8, length 46",
			"ARP, Request who-has 10.239.0.101 (ff:ff:ff:ff:ff:ff) tell 0.0.0.0, length 28",
			"ARP, Reply 10.239.0.101 is-at 02:00:06:de:54:a8, length 46")

		s.app.expectFailure(t, "arping", "-c", "1", "-w", "1", "-I", "eth0", "10.239.0.200")
		s.app.expectSuccess(t, "ping", "-c", "1", "-w", "20", "10.239.0.102")

		sendMark(t, s.app, s.idle, 1)
		idle.expect(t, "ICMP echo reply") // the mark
		if app.contains("10.239.0.200 is-at") {
			t.Errorf("a request for an unallocated address was answered:\n%s", app)
		}
		if s.guarded {
			if idle.contains("ARP") {
				t.Errorf("idle received the others' ARP:\n%s", idle)
			}
			s.expectSilence(t, s.idle)
			expectHostLearnedNothing(t)
		}
	})
}

func (g *guest) run(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), labtest.Patience)
	defer cancel()
	return g.Run(ctx, name, args...)
}

func (g *guest) expectSuccess(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := g.run(t, name, args...); err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func (g *guest) expectFailure(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := g.run(t, name, args...); err == nil {
		t.Errorf("%s %s succeeded\n%s", name, strings.Join(args, " "), out)
	}
}

// tcpdump is a running tcpdump.
type tcpdump struct {
	mu    sync.Mutex
	lines []string
	next  int // index of the line where expect continues
}

// startTcpdump starts tcpdump in a guest, for ARP and marks, until the test ends, and waits until it listens.
func startTcpdump(t *testing.T, g *guest) *tcpdump {
	t.Helper()
	// -Z root, because a user namespace has no other user for tcpdump to switch to.
	cmd := exec.Command("tcpdump", "-Z", "root", "-n", "-t", "-l", "--immediate-mode", "-i", "eth0",
		"arp or icmp[icmptype] == icmp-echoreply")
	stdout, err := cmd.StdoutPipe()
	labtest.Must(t, err)
	stderr, err := cmd.StderrPipe()
	labtest.Must(t, err)
	labtest.Must(t, g.Start(cmd))
	d := &tcpdump{}
	var reading sync.WaitGroup
	reading.Go(func() { d.read(stdout) })
	t.Cleanup(func() {
		cmd.Process.Kill()
		reading.Wait()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s saw:\n%s", g.Name, d)
		}
	})
	awaitListening(t, stderr)
	return d
}

func awaitListening(t *testing.T, stderr io.Reader) {
	t.Helper()
	said := ""
	for lines := bufio.NewScanner(stderr); lines.Scan(); said += lines.Text() + "\n" {
		if strings.Contains(lines.Text(), "listening on") {
			return
		}
	}
	t.Fatalf("tcpdump did not start:\n%s", said)
}

func (d *tcpdump) read(stdout io.Reader) {
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		d.mu.Lock()
		d.lines = append(d.lines, lines.Text())
		d.mu.Unlock()
	}
}

func (d *tcpdump) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.lines, "\n")
}

func (d *tcpdump) contains(text string) bool { return strings.Contains(d.String(), text) }

// expect waits for lines that contain these texts, in this order, after the lines that were expected before.
func (d *tcpdump) expect(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		labtest.Eventually(t, fmt.Sprintf("tcpdump prints %q", text), func() bool { return d.advance(text) })
	}
}

func (d *tcpdump) advance(text string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.lines[d.next:], func(line string) bool { return strings.Contains(line, text) })
	if i < 0 {
		return false
	}
	d.next += i + 1
	return true
}
