package demo

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write testdata/report.txt anew")

func TestMain(m *testing.M) { os.Exit(lab.RunTests(m)) }

// TestPlay wants the report of both modes as it is in testdata/report.txt, but for the times.
func TestPlay(t *testing.T) {
	const golden = "testdata/report.txt"
	var out bytes.Buffer
	if err := Play(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	got := regexp.MustCompile(`(?m)^ +\d+\.\d{3} `).ReplaceAllLiteralString(out.String(), "     0.000 ")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the report is not that of %s (-want +got):\n%s", golden, diff)
	}
}

// A canceller ends the story at the first word of the report.
type canceller struct {
	io.Writer
	cancel context.CancelFunc
}

func (c canceller) Write(p []byte) (int, error) {
	c.cancel()
	return c.Writer.Write(p)
}

func TestPlayIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	if err := Play(ctx, canceller{io.Discard, cancel}); !errors.Is(err, errInterrupted) {
		t.Errorf("got error %v, want %v", err, errInterrupted)
	}
	stage, err := build()
	if err != nil {
		t.Errorf("something was left behind: %v", err)
	}
	stage.remove()
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
cp /run/arpfabric.yaml /run/arpfabric.log $DIR
exit 3
`
	if err := os.WriteFile(filepath.Join(dir, "shell"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Shell(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), enterCommand()) {
		t.Errorf("no word of how to enter a guest:\n%s", &out)
	}
	for name, want := range map[string]string{
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
		t.Errorf("what the shell left in the background is still there (%v)", err)
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

// TestCheckFindsWhatIsWrong changes a scene that is as it should be.
func TestCheckFindsWhatIsWrong(t *testing.T) {
	tests := []struct {
		name   string
		mode   config.Mode
		change func(scene)
		want   string // nothing is wrong where empty
	}{
		{name: "vpc as it should be", mode: config.VPC},
		{name: "classic as it should be", mode: config.Classic},
		{
			name: "a request leaks", mode: config.VPC,
			change: func(s scene) { s.lines["db"] = []line{{text: story[0].sent}} },
			want: "vpc mode, db, frame 1: seen ARP, Request who-has 10.239.0.1 tell 10.239.0.101, length 28; " +
				"expected: nothing",
		},
		{
			name: "a reply without padding", mode: config.VPC,
			change: func(s scene) { s.lines["app"][1].text = story[0].classic },
			want: "vpc mode, app, frame 2: seen ARP, Reply 10.239.0.1 is-at 02:00:00:de:54:a8, length 28; " +
				"expected: seen ARP, Reply 10.239.0.1 is-at 02:00:00:de:54:a8, length 46",
		},
		{
			name: "a reply with another MAC", mode: config.VPC,
			change: func(s scene) {
				s.lines["app"][3].text = "ARP, Reply 10.239.0.102 is-at 02:00:00:de:54:a8, length 46"
			},
			want: "vpc mode, app, frame 4: seen ARP, Reply 10.239.0.102 is-at 02:00:00:de:54:a8, length 46",
		},
		{
			name: "the second probe is not answered", mode: config.VPC,
			change: func(s scene) { s.lines["app"] = slices.Delete(s.lines["app"], 7, 8) },
			want:   "vpc mode, app, frame 8: sent ARP, Request who-has 10.239.0.77",
		},
		{
			name: "the last reply is missing", mode: config.VPC,
			change: func(s scene) { s.lines["app"] = s.lines["app"][:11] },
			want:   "vpc mode, app, frame 12: nothing; expected: seen ARP, Reply 10.239.0.1",
		},
		{
			name: "an unallocated address is answered", mode: config.VPC,
			change: func(s scene) {
				reply := line{text: "ARP, Reply 10.239.0.77 is-at 02:00:00:de:54:a8, length 46"}
				s.lines["app"] = slices.Insert(s.lines["app"], 9, reply)
			},
			want: "vpc mode, app, frame 10: seen ARP, Reply 10.239.0.77",
		},
		{
			name: "another verdict", mode: config.VPC,
			change: func(s scene) {
				s.verdicts[responder.Announcement]--
				s.verdicts[responder.Answered]++
			},
			want: "vpc mode, verdicts on app's frames: 0 announcement; expected: 1\n" +
				"  vpc mode, verdicts on app's frames: 4 answered; expected: 3",
		},
		{
			name: "a guest misses a broadcast", mode: config.Classic,
			change: func(s scene) { s.lines["gw"] = slices.Delete(s.lines["gw"], 2, 3) },
			want:   "classic mode, gw, frame 3: seen ARP, Request who-has 10.239.0.101 (ff:ff:ff:ff:ff:ff)",
		},
		{
			name: "unicast reaches a bystander", mode: config.Classic,
			change: func(s scene) { s.expect("db", line{text: story[6].sent}) },
			want:   "classic mode, db, frame 8: seen ARP, Request who-has 10.239.0.1 ",
		},
		{
			name: "the owner is silent", mode: config.Classic,
			change: func(s scene) { s.lines["db"] = slices.Delete(s.lines["db"], 2, 3) },
			want:   "classic mode, db, frame 3: seen ARP, Request who-has 10.239.0.101 (ff:ff:ff:ff:ff:ff)",
		},
		{
			name: "the fabric answers in classic mode too", mode: config.Classic,
			change: func(s scene) { s.lines["app"] = slices.Insert(s.lines["app"], 2, line{text: story[0].vpc}) },
			want:   "classic mode, app, frame 3: seen ARP, Reply 10.239.0.1 is-at 02:00:00:de:54:a8, length 46",
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

// TestModesDiffer: nobody takes the one mode for the other.
func TestModesDiffer(t *testing.T) {
	s := expected(config.Classic)
	s.mode = config.VPC
	if check(s) == nil {
		t.Error("a plain bridge passes for a VPC")
	}
}
