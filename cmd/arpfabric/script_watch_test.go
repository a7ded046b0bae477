package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// watch runs 'arpfabric watch' with arguments, and plays a round of traffic again and again until its output is what is
// wanted, each line as often as there were rounds since it began to listen. A round more must change nothing.
func (s *session) watch(ts *testscript.TestScript, args []string) {
	want := masked(ts.ReadFile(args[0]))
	p := arpfabric(s.t, nil, append([]string{"watch"}, args[1:]...)...)
	s.playUntil(ts, "watch shows what is wanted", func() bool { return distinct(masked(p.output.String())) == want },
		func() string { return cmp.Diff(want, distinct(masked(p.output.String()))) })
	before := len(p.output.String())
	s.playUntil(ts, "watch goes on", func() bool { return len(p.output.String()) >= before+len(want) }, p.output.String)
	ts.Check(p.Process.Signal(unix.SIGINT))
	if code := p.wait(s.t); code != 0 {
		ts.Fatalf("exit code %d:\n%s", code, p.output.String())
	}
	if diff := cmp.Diff(want, distinct(masked(p.output.String()))); diff != "" {
		ts.Fatalf("a round more was played (-want +got):\n%s", diff)
	}
}

// playUntil plays rounds of traffic until done, and fails with what is said then if it never is.
func (s *session) playUntil(ts *testscript.TestScript, what string, done func() bool, said func() string) {
	for deadline := time.Now().Add(lab.Patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("waited %v in vain: %s\n%s", lab.Patience, what, said())
		}
		s.play(ts)
	}
}

// play lets each guest do something that is answered, and app what is not.
func (s *session) play(ts *testscript.TestScript) {
	app, db := s.stage.app, s.stage.db
	ts.Check(app.Send(app.request("10.239.0.77")))
	ts.Check(app.Send(app.requestFrom("10.239.0.102", "10.239.0.1")))
	ts.Check(app.Send(app.packet("10.239.0.102", "10.239.0.1")))
	db.asksUntilAnswered(s.t, "10.239.0.101")
}

// distinct is text without repetitions of its lines, in the order of the alphabet: what comes first depends on when
// listening began.
func distinct(text string) string {
	lines := slices.Sorted(strings.Lines(text))
	return strings.Join(slices.Compact(lines), "")
}

// capture runs 'arpfabric watch -w FILE' with arguments, and plays rounds of traffic until the comments of all packets that
// are wanted are in the file. The distinct packets in there must be those.
func (s *session) capture(ts *testscript.TestScript, args []string) {
	file, want := ts.MkAbs(args[0]), ts.ReadFile(args[1])
	p := arpfabric(s.t, nil, append([]string{"watch", "-w", file}, args[2:]...)...)
	s.playUntil(ts, "there is a capture", func() bool { return hasComments(file, want) }, p.output.String)
	ts.Check(p.Process.Signal(unix.SIGINT))
	if code := p.wait(s.t); code != 0 || p.output.String() != "" {
		ts.Fatalf("exit code %d:\n%s", code, p.output.String())
	}
	if diff := cmp.Diff(want, distinct(packetsOf(s.t, file))); diff != "" {
		ts.Fatalf("the packets in the capture (-want +got):\n%s", diff)
	}
}

// silent runs 'arpfabric watch -w FILE' while nothing happens. What is in the file must soon be a capture.
func (s *session) silent(ts *testscript.TestScript, args []string) {
	file := ts.MkAbs(args[0])
	p := arpfabric(s.t, nil, "watch", "-w", file, "--port", "none")
	lab.Eventually(s.t, "there is a capture", func() bool {
		data, _ := os.ReadFile(file) // not there yet
		_, err := pcapgo.NewNgReader(bytes.NewReader(data), pcapgo.DefaultNgReaderOptions)
		return err == nil
	})
	ts.Check(p.Process.Signal(unix.SIGINT))
	if code := p.wait(s.t); code != 0 || p.output.String() != "" {
		ts.Fatalf("exit code %d:\n%s", code, p.output.String())
	}
	if packets := packetsOf(s.t, file); packets != "" {
		ts.Fatalf("there are packets in it:\n%s", packets)
	}
}

// hasComments reports whether the comments of packets, as packetsOf lists them, are in a file.
func hasComments(file, packets string) bool {
	data, _ := os.ReadFile(file) // not there yet
	for packet := range strings.Lines(packets) {
		_, comment, _ := strings.Cut(strings.TrimSpace(packet), "# ")
		if !bytes.Contains(data, []byte(comment)) {
			return false
		}
	}
	return true
}

// packetsOf lists the packets of a pcapng file, a line each: the interface, tcpdump's words, and the comment.
func packetsOf(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	capture, err := pcapgo.NewNgReader(f, pcapgo.DefaultNgReaderOptions)
	must(t, err)
	var lines strings.Builder
	for {
		frame, info, options, err := capture.ReadPacketDataWithOptions()
		if errors.Is(err, io.EOF) {
			return lines.String()
		}
		must(t, err)
		port, err := capture.Interface(info.InterfaceIndex)
		must(t, err)
		fmt.Fprintf(&lines, "%s, %s # %s\n", port.Name, responder.Describe(frame), strings.Join(options.Comments, "; "))
	}
}
