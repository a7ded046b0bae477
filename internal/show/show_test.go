package show

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/google/go-cmp/cmp"
)

var (
	now  = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	app  = netip.MustParseAddr("10.239.0.101")
	dbIP = netip.MustParseAddr("10.239.0.102")
	db   = api.Binding{
		Network: "lab", First: dbIP, Last: dbIP, MAC: "02:00:07:de:54:a8", Name: "db", Port: "vnet3", Origin: "lab.yaml:8",
	}
)

func ago(d time.Duration) time.Time { return now.Add(-d) }

// expect holds what write writes on no terminal.
func expect(t *testing.T, want string, write func(*Output) error) {
	t.Helper()
	var b bytes.Buffer
	if err := write(To(&b)); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// quiet is the status of a fabric that has done nothing yet, and troubled of one that has seen everything.
var (
	quiet = api.Status{
		Version: "v1.2.3", PID: 42, Started: ago(3 * time.Second),
		Configuration: api.Configuration{Files: []string{"lab.yaml"}, Loaded: ago(2 * time.Second), Generation: 1},
		Networks:      []api.Network{{Name: "lab", Mode: "vpc", Attach: "bridge br0", Guard: "full", Bindings: 3, Ports: 2}},
	}
	failedAt = ago(61 * time.Second)
	troubled = api.Status{
		Version: "v1.2.3", PID: 42, Started: ago(50 * time.Hour),
		Configuration: api.Configuration{
			Files: []string{"lab.yaml", "lab.ethers"}, Loaded: ago(3*time.Hour + 59*time.Second), Generation: 7, Failures: 2,
			LastError: "lab.yaml:3: networks: what is wrong\nlab.yaml:4: networks: and more", FailedAt: &failedAt,
		},
		Networks: []api.Network{
			{Name: "a", Mode: "classic", Attach: "interface eth0", Guard: "none", Bindings: 100000, Ports: 1},
			{Name: "lab", Mode: "vpc", Attach: "bridge br0 vlan 10 (uplink eth1)", Guard: "full", Bindings: 3, Ports: 12},
		},
		Guard:   api.Guard{Reinstalled: 1},
		Reasons: map[string]uint64{"unknown-target": 5, "answered": 1234567, "announcement": 5}, Refused: 17,
		Violations: api.Violations{Records: 3, Forgotten: 1},
		Losses:     api.Losses{Frames: 4, Events: 6, Strays: 8},
	}
)

func TestStatus(t *testing.T) {
	tests := []struct {
		name   string
		status api.Status
		want   string
	}{
		{"quiet", quiet, `arpfabric v1.2.3, process 42, up 3s
configuration 1, loaded 2s ago from lab.yaml

NETWORK  MODE  ATTACHED TO  GUARD  BINDINGS  PORTS
lab      vpc   bridge br0   full   3         2

no frames yet
`},
		{"troubled", troubled, `arpfabric v1.2.3, process 42, up 2d2h
configuration 7, loaded 3h0m ago from lab.yaml, lab.ethers
the last reload failed 1m1s ago, and the configuration before is in force:
  lab.yaml:3: networks: what is wrong
  lab.yaml:4: networks: and more

NETWORK  MODE     ATTACHED TO                       GUARD  BINDINGS  PORTS
a        classic  interface eth0                    none   100000    1
lab      vpc      bridge br0 vlan 10 (uplink eth1)  full   3         12

REASON                  FRAMES
answered                1234567
announcement            5
unknown-target          5
(refused by the guard)  17

violations ('arpfabric violations' lists them): 3
guard put back after somebody had changed it: 1
failed reloads: 2
times that frames were lost, as they were not read in time: 4
times that the kernel's messages were lost, and all was read anew: 6
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expect(t, tt.want, func(o *Output) error { return o.Status(tt.status, now) })
		})
	}
}

func TestAge(t *testing.T) {
	tests := []struct {
		since time.Duration
		want  string
	}{
		{-time.Second, "0s"}, // the clock was set
		{0, "0s"},
		{59999 * time.Millisecond, "59s"},
		{time.Minute, "1m0s"},
		{time.Hour - time.Second, "59m59s"},
		{time.Hour, "1h0m"},
		{24*time.Hour - time.Second, "23h59m"},
		{24 * time.Hour, "1d0h"},
		{400*24*time.Hour + 5*time.Hour, "400d5h"},
	}
	for _, tt := range tests {
		if got := age(now, ago(tt.since)); got != tt.want {
			t.Errorf("%v ago is %q, want %q", tt.since, got, tt.want)
		}
	}
}

func TestPorts(t *testing.T) {
	expect(t, "no ports\n", func(o *Output) error { return o.Ports(nil) })
	expect(t, `NETWORK  PORT   KIND    INDEX  REFUSED  REASONS
lab      br0    host    3      0        -
lab      eth1   uplink  2      0        not-arp 1
lab      vnet3  guest   117    5        answered 7, announcement 2, unknown-target 2
`, func(o *Output) error {
		return o.Ports([]api.Port{
			{Network: "lab", Name: "br0", Index: 3, Kind: api.Host},
			{Network: "lab", Name: "eth1", Index: 2, Kind: api.Uplink, Reasons: map[string]uint64{"not-arp": 1}},
			{
				Network: "lab", Name: "vnet3", Index: 117, Kind: api.GuestPort, Refused: 5,
				Reasons: map[string]uint64{"unknown-target": 2, "answered": 7, "announcement": 2},
			},
		})
	})
}

func TestViolations(t *testing.T) {
	expect(t, "no violations\n", func(o *Output) error { return o.Violations(nil, now) })
	unnamed := db
	unnamed.Name = ""
	expect(t, `NETWORK  PORT   MAC                ADDRESS       OWNER                 REASON              ACTION  FRAMES  FIRST      LAST
lab      vnet4  01:00:5e:00:00:01  -             -                     invalid-sender-mac  drop    1       2s ago     2s ago
lab      vnet4  02:00:09:de:54:a8  10.239.0.102  02:00:07:de:54:a8 db  spoofed-sender      drop    30      1h0m ago   3s ago
lab      vnet4  02:00:09:de:54:a8  10.239.0.102  02:00:07:de:54:a8     spoofed-source      pass    2       1m30s ago  1m0s ago
`, func(o *Output) error {
		return o.Violations([]api.Violation{
			{
				Network: "lab", Port: "vnet4", Reason: "invalid-sender-mac", Action: "drop", MAC: "01:00:5e:00:00:01",
				First: ago(2 * time.Second), Last: ago(2 * time.Second), Count: 1,
			},
			{
				Network: "lab", Port: "vnet4", Reason: "spoofed-sender", Action: "drop", MAC: "02:00:09:de:54:a8",
				Address: dbIP, Target: app, Owner: &db, First: ago(time.Hour), Last: ago(3 * time.Second), Count: 30,
			},
			{
				Network: "lab", Port: "vnet4", Reason: "spoofed-source", Action: "pass", MAC: "02:00:09:de:54:a8",
				Address: dbIP, Target: app, Owner: &unnamed, First: ago(90 * time.Second), Last: ago(time.Minute), Count: 2,
			},
		}, now)
	})
}

func TestBindings(t *testing.T) {
	expect(t, `NETWORK  ADDRESS                    MAC                NAME  PORT   WRITTEN IN
lab      10.239.0.102               02:00:07:de:54:a8  db    vnet3  lab.yaml:8
other    10.239.0.101-10.239.0.102  02:00:07:de:54:a8  -     -      other.ethers:12
`, func(o *Output) error {
		return o.Bindings([]api.Binding{
			db, {Network: "other", First: app, Last: dbIP, MAC: "02:00:07:de:54:a8", Origin: "other.ethers:12"},
		})
	})
}

func TestEvent(t *testing.T) {
	at := time.Date(2026, 3, 2, 9, 5, 7, 1234000, time.Local)
	const words = "ARP, Request who-has 10.239.0.102 tell 10.239.0.101, length 28"
	tests := []struct {
		name  string
		event api.Event
		want  string
	}{
		{
			"answered", api.Event{Time: at, Network: "lab", Port: "vnet2", Action: "reply", Reason: "answered", Words: words},
			"09:05:07.001234 lab vnet2 " + words + ": reply answered\n",
		},
		{
			"in classic mode",
			api.Event{Time: at, Network: "lab", Port: "vnet2", Action: "drop", Reason: "unknown-target", DryRun: true, Words: words},
			"09:05:07.001234 lab vnet2 " + words + ": drop (classic: it went on its way) unknown-target\n",
		},
		{
			"spoofed",
			api.Event{
				Time: at, Network: "lab", Port: "vnet2", Action: "drop", Reason: "spoofed-sender", Words: words,
				Frame: []byte{255, 255, 255, 255, 255, 255, 2, 0, 9, 0xde, 0x54, 0xa8, 8, 6},
			},
			"09:05:07.001234 lab vnet2 " + words + " from 02:00:09:de:54:a8: drop spoofed-sender\n",
		},
		{
			"one lost", api.Event{Time: at, Lost: 1},
			"09:05:07.001234 1 event was lost: more come than can be shown; filters, such as --reason, leave fewer\n",
		},
		{
			"many lost", api.Event{Time: at, Lost: 1200},
			"09:05:07.001234 1200 events were lost: more come than can be shown; filters, such as --reason, leave fewer\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expect(t, tt.want, func(o *Output) error { return o.Event(tt.event) })
		})
	}
}

// TestBold holds that headings are bold on a terminal, unless the user wants no colours, and nowhere else.
func TestBold(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("needs a terminal: %v", err)
	}
	defer terminal.Close()
	for _, tt := range []struct {
		name    string
		out     *os.File
		noColor string
		want    bool
	}{
		{"terminal", terminal, "", true}, {"NO_COLOR", terminal, "1", false}, {"file", file, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("NO_COLOR", tt.noColor)
			if got := To(tt.out).bold; got != tt.want {
				t.Errorf("bold is %v", got)
			}
		})
	}
	var b bytes.Buffer
	o := &Output{w: &b, bold: true}
	o.Bindings([]api.Binding{db})
	want := "\x1b[1mNETWORK  ADDRESS       MAC                NAME  PORT   WRITTEN IN\x1b[0m\n" +
		"lab      10.239.0.102  02:00:07:de:54:a8  db    vnet3  lab.yaml:8\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A full disk takes some bytes, and no more.
type full struct{ room int }

var errFull = errors.New("no space left")

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// TestFull holds that output which is lost is an error, wherever it ends.
func TestFull(t *testing.T) {
	outputs := map[string]func(*Output) error{
		"status":     func(o *Output) error { return o.Status(troubled, now) },
		"quiet":      func(o *Output) error { return o.Status(quiet, now) },
		"ports":      func(o *Output) error { return o.Ports(nil) },
		"violations": func(o *Output) error { return o.Violations(nil, now) },
		"bindings":   func(o *Output) error { return o.Bindings([]api.Binding{db}) },
		"event":      func(o *Output) error { return o.Event(api.Event{Time: now, Words: "ARP"}) },
	}
	for name, write := range outputs {
		t.Run(name, func(t *testing.T) {
			var whole bytes.Buffer
			write(To(&whole))
			for room := range whole.Len() {
				if err := write(To(&full{room})); !errors.Is(err, errFull) {
					t.Fatalf("with room for %d of %d bytes: error %v", room, whole.Len(), err)
				}
			}
		})
	}
}
