package demo

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/daemon"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write the reports in testdata again")

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "run" { // RunHosts starts this program as arpfabric
		fmt.Fprintln(os.Stderr, daemon.Run(context.Background(), os.Args[3], ""))
		os.Exit(1)
	}
	os.Exit(labtest.RunTests(m))
}

// TestRun compares the report with testdata/report.txt, except for the times.
func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := Run(t.Context(), config.DatapathAuto, &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	compare(t, "testdata/report.txt", out.String())
}

// compare compares a report with a file, except for what differs from run to run.
func compare(t *testing.T, golden, report string) {
	t.Helper()
	for _, varying := range []struct{ pattern, replacement string }{
		{`(?m)^ +\d+\.\d{3} `, "     0.000 "},
		{`\d+ ms after`, "0 ms after"},
		{`\d+\.\d s\b`, "0.0 s"},
		{`(?m)^( +to app\d).*$`, "$1 ..."},
		{`answered \d+ of \d+`, "answered 100 of 100"},
		{`etcd (cannot be reached|does not answer).*`, "etcd cannot be reached ..."},
	} {
		report = regexp.MustCompile(varying.pattern).ReplaceAllString(report, varying.replacement)
	}
	if *update {
		if err := os.WriteFile(golden, []byte(report), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), report); diff != "" {
		t.Errorf("the report differs from %s (-want +got):\n%s", golden, diff)
	}
}

// A canceller cancels the run at the first write of the report.
type canceller struct {
	io.Writer
	cancel context.CancelFunc
}

func (c canceller) Write(p []byte) (int, error) {
	c.cancel()
	return c.Writer.Write(p)
}

func TestRunIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	if err := Run(ctx, config.DatapathAuto, canceller{io.Discard, cancel}); !errors.Is(err, errInterrupted) {
		t.Errorf("got error %v, want %v", err, errInterrupted)
	}
	again, err := newTestbed()
	if err != nil {
		t.Errorf("the run has left something: %v", err)
	}
	again.remove()
}

// TestShell runs a script as the user's shell.
func TestShell(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("SHELL", filepath.Join(dir, "shell"))
	t.Setenv("DIR", dir)
	const script = `#!/bin/sh
sleep 1000 &
echo $! > $DIR/pid
echo /run/netns/* > $DIR/guests
for tool in arpfabric app gw db; do command -v $tool; done > $DIR/tools
cp /run/arpfabric.yaml /run/arpfabric.log $DIR
exit 3
`
	if err := os.WriteFile(filepath.Join(dir, "shell"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Shell(t.Context(), config.DatapathAuto, &out); err != nil {
		t.Fatal(err)
	}
	if want := "\n    app  "; !strings.Contains(out.String(), want) {
		t.Errorf("the output lacks %q:\n%s", want, &out)
	}
	for name, want := range map[string]string{
		"tools":          "/run/demo/bin/arpfabric\n/run/demo/bin/app\n/run/demo/bin/gw\n/run/demo/bin/db\n",
		"guests":         "/run/netns/app /run/netns/db /run/netns/gw\n",
		"arpfabric.yaml": "mode: vpc",
		"arpfabric.log":  "network attached",
	} {
		if got := read(t, filepath.Join(dir, name)); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q in it", name, got, want)
		}
	}
	pid, err := strconv.Atoi(strings.TrimSpace(read(t, filepath.Join(dir, "pid"))))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, 0); err != unix.ESRCH {
		t.Errorf("the shell's process in the background still runs (%v)", err)
	}
}

// TestPrompt checks that a shell shows where the user is, before the user's own prompt.
func TestPrompt(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	labtest.Write(t, filepath.Join(home, ".bashrc"), "PS1='mine> '\n")
	for _, tt := range []struct{ shell, want string }{
		{"bash", "(arpfabric demo, host) mine> "},
		{"sh", "(arpfabric demo, host) # "},
	} {
		t.Run(tt.shell, func(t *testing.T) {
			labtest.NeedProgram(t, tt.shell)
			args, env, err := prompt(tt.shell, "host")
			labtest.Must(t, err)
			shell := exec.Command(tt.shell, append(args, "-i", "-c", `echo "<$PS1>"`)...)
			shell.Env = append(os.Environ(), env...)
			out, err := shell.Output()
			if want := "<" + tt.want + ">\n"; err != nil || string(out) != want {
				t.Errorf("%q (%v), want %q", out, err, want)
			}
		})
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestCheck changes a correct result.
func TestCheck(t *testing.T) {
	tests := []struct {
		name   string
		mode   config.Mode
		change func(result)
		want   string // "" for no difference
	}{
		{name: "a correct result of vpc", mode: config.VPC},
		{name: "a correct result of classic", mode: config.Classic},
		{
			name: "a request leaks", mode: config.VPC,
			change: func(r result) { r.lines["db"] = []line{{text: scenario[0].sent}} },
			want: "vpc mode, db, frame 1: received ARP, Request who-has 10.239.0.1 tell 10.239.0.101, length 28; " +
				"expected: nothing",
		},
		{
			name: "a reply without padding", mode: config.VPC,
			change: func(r result) { r.lines["app"][1].text = scenario[0].classic },
			want: "vpc mode, app, frame 2: received ARP, Reply 10.239.0.1 is-at 02:00:00:de:54:a8, length 28; " +
				"expected: received ARP, Reply 10.239.0.1 is-at 02:00:00:de:54:a8, length 46",
		},
		{
			name: "a reply with another MAC", mode: config.VPC,
			change: func(r result) {
				r.lines["app"][3].text = "ARP, Reply 10.239.0.102 is-at 02:00:00:de:54:a8, length 46"
			},
			want: "vpc mode, app, frame 4: received ARP, Reply 10.239.0.102 is-at 02:00:00:de:54:a8, length 46",
		},
		{
			name: "the second probe is not answered", mode: config.VPC,
			change: func(r result) { r.lines["app"] = slices.Delete(r.lines["app"], 7, 8) },
			want:   "vpc mode, app, frame 8: sent ARP, Request who-has 10.239.0.77",
		},
		{
			name: "the last reply is missing", mode: config.VPC,
			change: func(r result) { r.lines["app"] = r.lines["app"][:11] },
			want:   "vpc mode, app, frame 12: nothing; expected: received ARP, Reply 10.239.0.1",
		},
		{
			name: "an unallocated address is answered", mode: config.VPC,
			change: func(r result) {
				reply := line{text: "ARP, Reply 10.239.0.77 is-at 02:00:00:de:54:a8, length 46"}
				r.lines["app"] = slices.Insert(r.lines["app"], 9, reply)
			},
			want: "vpc mode, app, frame 10: received ARP, Reply 10.239.0.77",
		},
		{
			name: "another verdict", mode: config.VPC,
			change: func(r result) {
				r.verdicts[responder.Announcement]--
				r.verdicts[responder.Answered]++
			},
			want: "vpc mode, verdicts on app's frames: 0 announcement; expected: 1\n" +
				"  vpc mode, verdicts on app's frames: 4 answered; expected: 3",
		},
		{
			name: "a guest misses a broadcast", mode: config.Classic,
			change: func(r result) { r.lines["gw"] = slices.Delete(r.lines["gw"], 2, 3) },
			want:   "classic mode, gw, frame 3: received ARP, Request who-has 10.239.0.101 (ff:ff:ff:ff:ff:ff)",
		},
		{
			name: "unicast reaches a bystander", mode: config.Classic,
			change: func(r result) { r.expect("db", line{text: scenario[6].sent}) },
			want:   "classic mode, db, frame 8: received ARP, Request who-has 10.239.0.1 ",
		},
		{
			name: "the owner is silent", mode: config.Classic,
			change: func(r result) { r.lines["db"] = slices.Delete(r.lines["db"], 2, 3) },
			want:   "classic mode, db, frame 3: received ARP, Request who-has 10.239.0.101 (ff:ff:ff:ff:ff:ff)",
		},
		{
			name: "the fabric answers in classic mode too", mode: config.Classic,
			change: func(r result) { r.lines["app"] = slices.Insert(r.lines["app"], 2, line{text: scenario[0].vpc}) },
			want:   "classic mode, app, frame 3: received ARP, Reply 10.239.0.1 is-at 02:00:00:de:54:a8, length 46",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := expected(tt.mode)
			if tt.change != nil {
				tt.change(s)
			}
			err := check(s)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("unexpected: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

// TestCheckHappenings changes what happens in the part about allocation.
func TestCheckHappenings(t *testing.T) {
	if err := checkHappenings(expectedHappenings()); err != nil {
		t.Error(err)
	}
	for _, tt := range []struct {
		name   string
		change func([]happening) []happening
		want   string
	}{
		{
			"web is answered for before it has an address",
			func(all []happening) []happening { return slices.Insert(all, 1, all[5]) },
			"line 2: app received ARP, Reply 10.239.0.2 is-at 02:00:02:de:54:a8, length 46; expected: $ arpfabric allocate",
		},
		{
			"another guest receives a request",
			func(all []happening) []happening {
				return append(all, happening{"db", line{text: askForWeb}})
			},
			"line 9: db received ARP, Request who-has 10.239.0.2 tell 10.239.0.101, length 28; expected: nothing",
		},
		{
			"no answer for web",
			func(all []happening) []happening { return slices.Delete(all, 5, 6) },
			"line 6: $ arpfabric free web; expected: app received ARP, Reply",
		},
	} {
		if err := checkHappenings(tt.change(expectedHappenings())); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
}

// TestModesDiffer checks that check tells the modes apart.
func TestModesDiffer(t *testing.T) {
	s := expected(config.Classic)
	s.mode = config.VPC
	if check(s) == nil {
		t.Error("check accepts the result of classic for vpc")
	}
}
