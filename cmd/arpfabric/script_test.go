package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// TestScripts plays the sessions of operators in testdata/script, each on a bridge br0 with two guests: app, 10.239.0.101
// on vnet1, and db, 10.239.0.102 on vnet2. Beside testscript's own commands they have these:
//
//	daemon start                       run the fabric of arpfabric.yaml until the script ends; wait until it answers
//	daemon stop | kill                 end it by SIGTERM, or by SIGKILL
//	guest NAME who-has A [tell B]      ask for A until there is an answer, or, with B, send that request once
//	guest NAME ip A > B                send a packet from A, whoever has it, to B
//	guest NAME arpfabric ARG...        run arpfabric inside the guest
//	guard there | gone                 check that the kernel has a guard, or none
//	needs PROGRAM                      skip the script if a program isn't installed
//	exits CODE PROGRAM ARG...          run a program that must end with this exit code
//	wait-for PATTERN ARG...            run arpfabric repeatedly until its output matches
//	cmpmask FILE WANT                  as cmp, except for times, processes, versions, folders and column widths
//	watch WANT ARG...                  run 'arpfabric watch', see (*session).watch
//	capture FILE WANT ARG...           run 'arpfabric watch -w FILE', see (*session).capture
//	silent FILE                        run 'arpfabric watch -w FILE', see (*session).silent
//	count N ARG...                     run 'arpfabric watch -c N', see (*session).count
func TestScripts(t *testing.T) {
	skipIfShort(t)
	t.Setenv("GORACE", "atexit_sleep_ms=10") // else each program sleeps a second at its end with the race detector
	testscript.RunT(scriptT{t}, testscript.Params{
		Dir:                filepath.Join("testdata", "script"),
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			t := env.T().(scriptT).T
			env.Setenv("PATH", programFolder(t)+":"+env.Getenv("PATH"))
			env.Setenv(asProgram, "1")
			env.Values[sessionKey{}] = &session{t: t, stage: newStage(t)}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"daemon":   command((*session).daemonCommand),
			"guest":    command((*session).guestCommand),
			"guard":    command((*session).guardCommand),
			"needs":    command((*session).needs),
			"exits":    command((*session).exits),
			"wait-for": command((*session).waitFor),
			"cmpmask":  command((*session).cmpMask),
			"watch":    command((*session).watch),
			"capture":  command((*session).capture),
			"silent":   command((*session).silent),
			"count":    command((*session).count),
		},
	})
}

// scriptT makes a *testing.T a testscript.T. The scripts run one after the other, because they share the network.
type scriptT struct{ *testing.T }

func (t scriptT) Run(name string, f func(testscript.T)) {
	t.T.Run(name, func(t *testing.T) { f(scriptT{t}) })
}
func (scriptT) Parallel()     {}
func (scriptT) Verbose() bool { return testing.Verbose() }

// programFolder makes a folder for PATH where this program, which is arpfabric if asProgram is set, has that name.
func programFolder(t *testing.T) string {
	t.Helper()
	self, err := filepath.Abs(os.Args[0])
	labtest.Must(t, err)
	folder := t.TempDir()
	labtest.Must(t, os.Symlink(self, filepath.Join(folder, "arpfabric")))
	return folder
}

// A session is the state of a running script.
type session struct {
	t      *testing.T
	stage  *stage
	daemon *program
}

type sessionKey struct{}

// command makes a script command from a method. It rejects a negated command.
func command(do func(*session, *testscript.TestScript, []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, negated bool, args []string) {
		if negated {
			ts.Fatalf("this command can't be negated")
		}
		do(ts.Value(sessionKey{}).(*session), ts, args)
	}
}

func (s *session) daemonCommand(ts *testscript.TestScript, args []string) {
	switch args[0] {
	case "start":
		s.start(ts)
	case "stop":
		s.end(ts, unix.SIGTERM)
	case "kill":
		s.end(ts, unix.SIGKILL)
	default:
		ts.Fatalf("daemon start, stop or kill")
	}
}

func (s *session) start(ts *testscript.TestScript) {
	file := ts.MkAbs("arpfabric.yaml")
	cfg, err := config.Load(file)
	ts.Check(err)
	s.daemon = arpfabric(s.t, nil, "run", "--config", file)
	s.daemon.expectLog(s.t, "network attached")
	if cfg.API.Socket == "" {
		return
	}
	client := api.NewClient(cfg.API.Socket)
	labtest.Eventually(s.t, "the fabric answers on "+cfg.API.Socket, func() bool {
		_, err := client.Status(context.Background())
		return err == nil
	})
}

func (s *session) end(ts *testscript.TestScript, signal unix.Signal) {
	ts.Check(s.daemon.Process.Signal(signal))
	if code := s.daemon.wait(s.t); code != 0 && signal == unix.SIGTERM {
		ts.Fatalf("exit code %d:\n%s", code, s.daemon.output.String())
	}
}

func (s *session) guestCommand(ts *testscript.TestScript, args []string) {
	g, ok := map[string]*guest{"app": s.stage.app, "db": s.stage.db}[args[0]]
	if !ok {
		ts.Fatalf("unknown guest %s", args[0])
	}
	switch {
	case len(args) == 3 && args[1] == "who-has":
		g.asksUntilAnswered(s.t, args[2])
	case len(args) == 5 && args[1] == "who-has" && args[3] == "tell":
		ts.Check(g.Send(g.requestFrom(args[4], args[2])))
	case args[1] == "arpfabric":
		s.inside(ts, g, args[2:])
	case len(args) == 5 && args[1] == "ip" && args[3] == ">":
		ts.Check(g.Send(g.packet(args[2], args[4])))
	default:
		ts.Fatalf("unknown command of a guest: %s", strings.Join(args[1:], " "))
	}
}

// inside runs arpfabric in a guest. It must exit with 0.
func (s *session) inside(ts *testscript.TestScript, g *guest, args []string) {
	p := launch(s.t, g.Start, nil, args...)
	code := p.wait(s.t)
	fmt.Fprint(ts.Stdout(), p.output.String())
	if code != 0 {
		ts.Fatalf("exit code %d", code)
	}
}

func (g *guest) asksUntilAnswered(t *testing.T, target string) {
	t.Helper()
	before := g.heard()
	labtest.Eventually(t, g.Name+" hears who has "+target, func() bool {
		g.Send(g.request(target))
		return g.heard() > before
	})
}

// requestFrom returns a request with any sender address.
func (g *guest) requestFrom(sender, target string) []byte {
	return lab.Request(g.MAC, netip.MustParseAddr(sender), netip.MustParseAddr(target)).Frame()
}

// packet returns an IPv4 packet from any address to the gateway's MAC.
func (g *guest) packet(from, to string) []byte {
	gateway := net.HardwareAddr{0x02, 0x00, 0x00, 0xde, 0x54, 0xa8}
	return lab.EchoReply(gateway, g.MAC, netip.MustParseAddr(from), netip.MustParseAddr(to), make([]byte, 26))
}

func (s *session) guardCommand(ts *testscript.TestScript, args []string) {
	if is := guardIsThere(s.t); is != (args[0] == "there") {
		ts.Fatalf("there is a guard: %v", is)
	}
}

func (s *session) needs(_ *testscript.TestScript, args []string) { labtest.NeedProgram(s.t, args...) }

func (s *session) exits(ts *testscript.TestScript, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if code := exitCodeOf(ts.Exec(args[1], args[2:]...)); code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// exitCodeOf returns the exit code from the error of a program, or -1 if it did not exit by itself.
func exitCodeOf(err error) int {
	if err == nil {
		return 0
	}
	var code int
	if _, err := fmt.Sscanf(err.Error(), "exit status %d", &code); err != nil {
		return -1
	}
	return code
}

func (s *session) waitFor(ts *testscript.TestScript, args []string) {
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	out := ""
	defer func() { fmt.Fprint(ts.Stdout(), out) }()
	labtest.Eventually(s.t, args[0], func() bool {
		_, out = runToEnd(s.t, nil, args[1:]...)
		return pattern.MatchString(out)
	})
}

func (s *session) cmpMask(ts *testscript.TestScript, args []string) {
	got, want := ts.ReadFile(args[0]), ts.ReadFile(args[1])
	if diff := cmp.Diff(masked(want), masked(got)); diff != "" {
		ts.Fatalf("%s and %s differ (-want +got):\n%s\n%s", args[0], args[1], diff, got)
	}
}

// masks has the patterns that differ from one run to the next, and their replacements.
var masks = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+(Z|[-+]\d\d:\d\d)`), "TIME"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d\.\d{6}\b`), "TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`), "TIME"},
	{regexp.MustCompile(`(found at \S+ on )\d{4}-\d\d-\d\d`), "${1}DATE"},
	{regexp.MustCompile(`\buser \d+, process \d+`), "user UID, process PID"},
	{regexp.MustCompile(`"uid": \d+`), `"uid": UID`},
	{regexp.MustCompile(`\bdatapath (kernel(: an eBPF program.*)?|user: .*)`), "datapath DATAPATH"},
	{regexp.MustCompile(`, eBPF programs at tc`), ""},
	{latency, "T"},
	{regexp.MustCompile(`\b\d+[dhms](\d+[hms])?\b`), "AGE"},
	{regexp.MustCompile(`\barpfabric \S+, process \d+`), "arpfabric VERSION, process PID"},
	{regexp.MustCompile(`"version": "[^"]*"`), `"version": "VERSION"`},
	{regexp.MustCompile(`\(process \d+\)`), "(process PID)"},
	{regexp.MustCompile(`"pid": \d+`), `"pid": PID`},
	{regexp.MustCompile(`"index": \d+`), `"index": INDEX`},
	{regexp.MustCompile(`\bconfiguration \d+`), "configuration N"},
	{regexp.MustCompile(`"(generation|failures)": \d+`), `"$1": N`},
	{regexp.MustCompile(`\b(failed reloads): \d+`), "$1: N"},
	{regexp.MustCompile(`[^\s"]*/arpfabric\.yaml`), "arpfabric.yaml"},
	{regexp.MustCompile(` {2,}`), "  "},
	{regexp.MustCompile(` +\n`), "\n"},
}

func masked(text string) string {
	for _, m := range masks {
		text = m.pattern.ReplaceAllString(text, m.instead)
	}
	return text
}
