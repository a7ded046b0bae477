package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// watch runs 'arpfabric watch' with arguments, and plays rounds of traffic until its distinct lines are those of the
// file args[0]. Another round must add no other line.
func (s *session) watch(ts *testscript.TestScript, args []string) {
	want := masked(ts.ReadFile(args[0]))
	var notes output
	p := watching(s.t, &notes, args[1:]...)
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
	fmt.Fprint(ts.Stdout(), notes.String())
}

// count runs 'arpfabric watch -c N' with arguments, and plays rounds of traffic until it ends. It must print N lines.
func (s *session) count(ts *testscript.TestScript, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	var notes output
	p := watching(s.t, &notes, append([]string{"-c"}, args...)...)
	s.playUntil(ts, "watch ends", func() bool {
		select {
		case <-p.ended:
			return true
		default:
			return false
		}
	}, p.output.String)
	if lines := strings.Count(p.output.String(), "\n"); p.wait(s.t) != 0 || lines != n {
		ts.Fatalf("exit code %d, %d lines:\n%s%s", p.wait(s.t), lines, p.output.String(), notes.String())
	}
	fmt.Fprint(ts.Stdout(), notes.String())
}

// watching starts 'arpfabric watch', with another place for its standard error than for its output.
func watching(t *testing.T, notes *output, args ...string) *program {
	return launch(t, func(cmd *exec.Cmd) error {
		cmd.Stderr = notes
		return cmd.Start()
	}, nil, append([]string{"watch"}, args...)...)
}

// playUntil plays rounds of traffic until done reports true, and fails with said() if it never does.
func (s *session) playUntil(ts *testscript.TestScript, what string, done func() bool, said func() string) {
	for deadline := time.Now().Add(labtest.Patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("waited %v in vain: %s\n%s", labtest.Patience, what, said())
		}
		s.play(ts)
	}
}

// play plays a round of traffic: three frames of app that are dropped, and a request of db that is answered.
func (s *session) play(ts *testscript.TestScript) {
	app, db := s.stage.app, s.stage.db
	ts.Check(app.Send(app.request("10.239.0.77")))
	ts.Check(app.Send(app.requestFrom("10.239.0.102", "10.239.0.1")))
	ts.Check(app.Send(app.packet("10.239.0.102", "10.239.0.1")))
	db.asksUntilAnswered(s.t, "10.239.0.101")
}

// distinct returns the distinct lines of text, sorted: their order depends on the time at which watch began to listen.
func distinct(text string) string {
	lines := slices.Sorted(strings.Lines(text))
	return strings.Join(slices.Compact(lines), "")
}

// capture runs 'arpfabric watch -w FILE' with arguments, and plays rounds of traffic until the file has the comments of
// all packets in args[1]. The distinct packets of the file must then be those.
func (s *session) capture(ts *testscript.TestScript, args []string) {
	file, want := ts.MkAbs(args[0]), ts.ReadFile(args[1])
	var notes output
	p := watching(s.t, &notes, append([]string{"-w", file}, args[2:]...)...)
	s.playUntil(ts, "there is a capture", func() bool { return hasComments(file, want) }, p.output.String)
	ts.Check(p.Process.Signal(unix.SIGINT))
	if code := p.wait(s.t); code != 0 || p.output.String() != "" {
		ts.Fatalf("exit code %d:\n%s", code, p.output.String())
	}
	if diff := cmp.Diff(want, distinct(packetsOf(s.t, file))); diff != "" {
		ts.Fatalf("the packets in the capture (-want +got):\n%s", diff)
	}
}

// silent runs 'arpfabric watch -w FILE' without traffic. The file must soon be a valid capture.
func (s *session) silent(ts *testscript.TestScript, args []string) {
	file := ts.MkAbs(args[0])
	var notes output
	p := watching(s.t, &notes, "-w", file, "--port", "vnet2")
	labtest.Eventually(s.t, "there is a capture", func() bool {
		data, _ := os.ReadFile(file) // it may not exist yet
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
	data, _ := os.ReadFile(file) // it may not exist yet
	for packet := range strings.Lines(packets) {
		_, comment, _ := strings.Cut(strings.TrimSpace(packet), "# ")
		if !bytes.Contains(data, []byte(comment)) {
			return false
		}
	}
	return true
}

// packetsOf lists the packets of a pcapng file on a line each: the interface, the frame as tcpdump prints it, and the
// comment.
func packetsOf(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	labtest.Must(t, err)
	defer f.Close()
	capture, err := pcapgo.NewNgReader(f, pcapgo.DefaultNgReaderOptions)
	labtest.Must(t, err)
	var lines strings.Builder
	for {
		frame, info, options, err := capture.ReadPacketDataWithOptions()
		if errors.Is(err, io.EOF) {
			return lines.String()
		}
		labtest.Must(t, err)
		port, err := capture.Interface(info.InterfaceIndex)
		labtest.Must(t, err)
		fmt.Fprintf(&lines, "%s, %s # %s\n", port.Name, responder.Describe(frame), strings.Join(options.Comments, "; "))
	}
}
