package show

import (
	"bytes"
	"errors"
	"fmt"
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

// expect checks the output of write to a writer that is not a terminal.
func expect(t *testing.T, want string, write func(*Output) error) {
	t.Helper()
	var b bytes.Buffer
	if err := write(NewOutput(&b)); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// quiet is the status of a fabric without frames and problems, and busy of one with every problem.
var (
	quiet = api.Status{
		Version: "v1.2.3", PID: 42, Started: ago(3 * time.Second),
		Configuration: api.Configuration{Files: []string{"lab.yaml"}, Loaded: ago(2 * time.Second), Generation: 1},
		Networks:      []api.Network{{Name: "lab", Mode: "vpc", Attach: "bridge br0", Guard: "full", Bindings: 3, Ports: 2}},
		Datapath:      api.Datapath{InForce: "kernel"},
	}
	failedAt = ago(61 * time.Second)
	busy     = api.Status{
		Version: "v1.2.3", PID: 42, Started: ago(50 * time.Hour),
		Configuration: api.Configuration{
			Files: []string{"lab.yaml", "lab.ethers"}, Loaded: ago(3*time.Hour + 59*time.Second), Generation: 7, Failures: 2,
			LastError: "lab.yaml:3: networks: what is wrong\nlab.yaml:4: networks: and more", FailedAt: &failedAt,
		},
		Networks: []api.Network{
			{Name: "a", Mode: "classic", Attach: "interface eth0", Guard: "none", Bindings: 100000, Ports: 1},
			{Name: "lab", Mode: "vpc", Attach: "bridge br0 vlan 10 (uplink eth1)", Guard: "full", Bindings: 3, Ports: 12, Findings: []string{"the uplink eth1 is not a member of br0"}},
			{Name: "late", Mode: "vpc", Attach: "bridge br7", Guard: "full", Bindings: 1, WaitsFor: "there is no bridge br7"},
		},
		Datapath: api.Datapath{InForce: "user", Why: "kernel needs CAP_BPF"},
		Guard:    api.Guard{Reinstalled: 1},
		Reasons:  map[string]uint64{"unknown-target": 5, "answered": 1234567, "announcement": 5}, Refused: 17,
		Store: &api.Store{Folder: "/var/lib/arpfabric", Allocations: 3},
		Problems: []string{
			"network lab: the uplink eth1 is not a member of br0", "network late has not started: there is no bridge br7",
			api.ReloadFailed + "lab.yaml:3: networks: what is wrong",
		},
		Violations: api.Violations{Records: 3, Forgotten: 1},
		Losses:     api.Losses{Frames: 4, Events: 6, Strays: 8},
	}
)

// left is the status of a fabric whose program can't be everywhere.
func left() api.Status {
	s := quiet
	s.Datapath.Program = &api.Program{
		Ports: 2, Maps: []api.Map{{Name: "ports", Bytes: 1e6}}, Detours: []string{"tables of ebtables are loaded"},
		LeftToFabric: []string{"others use tc at lo"},
	}
	return s
}

// sourced is the status of a fabric that follows sources: one works, one fails, and one never worked.
func sourced() api.Status {
	read := ago(90 * time.Second)
	s := quiet
	s.Networks = []api.Network{{
		Name: "lab", Mode: "vpc", Attach: "bridge br0", Guard: "full", Bindings: 8, Ports: 2,
		Sources: []api.SourceState{
			{Kind: api.FromDnsmasqLeases, Of: "/var/lib/misc/dnsmasq.leases", Bindings: 5, Read: &read},
			{Kind: api.FromKeaLeases, Of: "/var/lib/kea/kea-leases4.csv", Bindings: 2, Read: &read, Error: "no such file", FailedAt: &failedAt},
			{Kind: api.FromDocker, Of: "backend", Error: "connection refused", FailedAt: &failedAt},
		},
	}}
	return s
}

func TestStatus(t *testing.T) {
	tests := []struct {
		name   string
		status api.Status
		want   string
	}{
		{"quiet", quiet, `arpfabric v1.2.3, process 42, up 3s
configuration 1, loaded 2s ago from lab.yaml
datapath kernel

NETWORK  MODE  ATTACHED TO  GUARD  BINDINGS  PORTS
lab      vpc   bridge br0   full   3         2

no frames yet
`},
		{"left to the fabric", left(), `arpfabric v1.2.3, process 42, up 3s
configuration 1, loaded 2s ago from lab.yaml
datapath kernel: an eBPF program on 2 ports, whose maps use 1.0 MB
  frames between guests cross the bridge: tables of ebtables are loaded
  arpfabric answers some requests itself: others use tc at lo

NETWORK  MODE  ATTACHED TO  GUARD  BINDINGS  PORTS
lab      vpc   bridge br0   full   3         2

no frames yet
`},
		{"busy", busy, `arpfabric v1.2.3, process 42, up 2d2h
configuration 7, loaded 3h0m ago from lab.yaml, lab.ethers
the last reload failed 1m1s ago; the previous configuration is in force:
  lab.yaml:3: networks: what is wrong
  lab.yaml:4: networks: and more
datapath user: kernel needs CAP_BPF
store /var/lib/arpfabric, allocations: 3

NETWORK  MODE     ATTACHED TO                       GUARD  BINDINGS  PORTS
a        classic  interface eth0                    none   100000    1
lab      vpc      bridge br0 vlan 10 (uplink eth1)  full   3         12
late     vpc      bridge br7                        waits  1         0
network lab: the uplink eth1 is not a member of br0
network late has not started: there is no bridge br7

REASON                  FRAMES
answered                1234567
announcement            5
unknown-target          5
(refused by the guard)  17

violations ('arpfabric violations' lists them): 3
guard reinstalled because another program had changed it: 1
failed reloads: 2
losses of frames that arpfabric did not read in time: 4
losses of kernel messages, after which arpfabric read the whole state again: 6
`},
		{"sources", sourced(), `arpfabric v1.2.3, process 42, up 3s
configuration 1, loaded 2s ago from lab.yaml
datapath kernel

NETWORK  MODE  ATTACHED TO  GUARD  BINDINGS  PORTS
lab      vpc   bridge br0   full   8         2

NETWORK  SOURCE          OF                            BINDINGS  STATE
lab      dnsmasq_leases  /var/lib/misc/dnsmasq.leases  5         read 1m30s ago
lab      kea_leases      /var/lib/kea/kea-leases4.csv  2         fails for 1m1s, read 1m30s ago
lab      docker          backend                       0         never read

no frames yet
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expect(t, tt.want, func(o *Output) error { return o.Status(tt.status, now) })
		})
	}
}

func TestHealth(t *testing.T) {
	expect(t, "ok\n", func(o *Output) error { return o.Health(quiet) })
	expect(t, `network lab: the uplink eth1 is not a member of br0
network late has not started: there is no bridge br7
the last reload failed: lab.yaml:3: networks: what is wrong
`, func(o *Output) error { return o.Health(busy) })
}

func TestAge(t *testing.T) {
	tests := []struct {
		since time.Duration
		want  string
	}{
		{-time.Second, "0s"}, // the clock was set back
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
	minute := ago(time.Minute)
	expect(t, "no ports\n", func(o *Output) error { return o.Ports(nil, now) })
	expect(t, `NETWORK  PORT   KIND    MACS               ADDRESSES                   NAMES  SEEN      REFUSED  REASONS
lab      br0    host    -                  -                           -      -         0        -
lab      eth1   uplink  3                  -                           -      1m0s ago  0        not-arp 1
lab      vnet3  guest   02:00:07:de:54:a8  10.239.0.102, 10.239.0.112  db     0s ago    5        answered 7, announcement 2, unknown-target 2
`, func(o *Output) error {
		return o.Ports([]api.Port{
			{Network: "lab", Name: "br0", Kind: api.Host},
			{
				Network: "lab", Name: "eth1", Kind: api.Uplink, Reasons: map[string]uint64{"not-arp": 1}, LastSeen: &minute,
				MACs: []api.LocatedMAC{{MAC: "02:00:01:de:54:a8"}, {MAC: "02:00:02:de:54:a8"}, {MAC: "02:00:03:de:54:a8"}},
			},
			{
				Network: "lab", Name: "vnet3", Kind: api.GuestPort, Refused: 5, LastSeen: &now,
				Reasons: map[string]uint64{"unknown-target": 2, "answered": 7, "announcement": 2},
				MACs:    []api.LocatedMAC{{MAC: "02:00:07:de:54:a8", Addresses: []string{"10.239.0.102", "10.239.0.112"}, Name: "db"}},
			},
		}, now)
	})
}

func TestViolations(t *testing.T) {
	expect(t, "no violations\n", func(o *Output) error { return o.Violations(nil, now) })
	unnamed := db
	unnamed.Name = ""
	expect(t, `NETWORK  PORT   MAC                ADDRESS       OWNER                 TARGET        REASON              ACTION  FRAMES  FIRST      LAST
lab      vnet4  01:00:5e:00:00:01  -             -                     -             invalid-sender-mac  drop    1       2s ago     2s ago
lab      vnet4  02:00:09:de:54:a8  10.239.0.102  02:00:07:de:54:a8 db  10.239.0.101  spoofed-sender      drop    30      1h0m ago   3s ago
lab      vnet4  02:00:09:de:54:a8  10.239.0.102  02:00:07:de:54:a8     10.239.0.101  spoofed-source      pass    2       1m30s ago  1m0s ago
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
		}, time.Now())
	})
	located := db
	now := time.Date(2026, 3, 2, 9, 5, 7, 0, time.UTC)
	located.Location = &api.Location{Port: "vnet3", Since: now.Add(-90 * time.Second), From: "arp"}
	expect(t, `NETWORK  ADDRESS       MAC                NAME  PORT   LOCATION               WRITTEN IN
lab      10.239.0.102  02:00:07:de:54:a8  db    vnet3  vnet3 for 1m30s (arp)  lab.yaml:8
`, func(o *Output) error { return o.Bindings([]api.Binding{located}, now) })
}

func TestPortsWithMACs(t *testing.T) {
	port := func(name string, macs int) api.Port {
		p := api.Port{Network: "lab", Name: name, Kind: api.GuestPort}
		for i := range macs {
			p.MACs = append(p.MACs, api.LocatedMAC{MAC: fmt.Sprintf("02:00:00:00:00:%02x", i)})
		}
		return p
	}
	expect(t, `NETWORK  PORT   KIND   MACS                                  SEEN  REFUSED  REASONS
lab      vnet0  guest  -                                     -     0        -
lab      vnet2  guest  02:00:00:00:00:00, 02:00:00:00:00:01  -     0        -
lab      vnet3  guest  3                                     -     0        -
lab      vnet9  guest  100 or more                           -     0        -
`, func(o *Output) error {
		return o.Ports([]api.Port{port("vnet0", 0), port("vnet2", 2), port("vnet3", 3), port("vnet9", api.MaxPortMACs)}, now)
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
			"09:05:07.001234 lab vnet2 " + words + ": drop (classic: forwarded) unknown-target\n",
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
			"to uplinks", api.Event{Time: at, Network: "lab", Port: "vnet2", Action: "pass", Reason: "unknown-target", Words: words},
			"09:05:07.001234 lab vnet2 " + words + ": pass (to uplinks) unknown-target\n",
		},
		{
			"not delivered",
			api.Event{Time: at, Network: "lab", Port: "br0", Action: "reply", Reason: "answered", Undelivered: "no interface", Words: words},
			"09:05:07.001234 lab br0 " + words + ": reply answered (not delivered: no interface)\n",
		},
		{
			"one lost", api.Event{Time: at, Lost: 1},
			"09:05:07.001234 1 event was lost: there were too many; use filters, such as --reason\n",
		},
		{
			"many lost", api.Event{Time: at, Lost: 1200},
			"09:05:07.001234 1200 events were lost: there were too many; use filters, such as --reason\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expect(t, tt.want, func(o *Output) error { return o.Event(tt.event) })
		})
	}
}

// TestStyles checks that headings are bold and actions coloured on a terminal without NO_COLOR, and nowhere else.
func TestStyles(t *testing.T) {
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
			if got := NewOutput(tt.out).styled; got != tt.want {
				t.Errorf("styled is %v", got)
			}
		})
	}
	var b bytes.Buffer
	o := &Output{w: &b, styled: true}
	o.Bindings([]api.Binding{db}, time.Now())
	for _, action := range []string{"reply", "drop", "pass"} {
		o.Event(api.Event{Time: now, Network: "lab", Port: "vnet2", Action: action, Reason: "why", Words: "ARP"})
	}
	o.Event(api.Event{Time: now, Network: "lab", Port: "vnet2", Action: "drop", Reason: "why", Words: "ARP", Earlier: true})
	at := now.Local().Format("15:04:05.000000")
	want := "\x1b[1mNETWORK  ADDRESS       MAC                NAME  PORT   WRITTEN IN\x1b[0m\n" +
		"lab      10.239.0.102  02:00:07:de:54:a8  db    vnet3  lab.yaml:8\n" +
		at + " lab vnet2 ARP: \x1b[32mreply why\x1b[0m\n" +
		at + " lab vnet2 ARP: \x1b[31mdrop why\x1b[0m\n" +
		at + " lab vnet2 ARP: \x1b[33mpass why\x1b[0m\n" +
		"\x1b[2m" + at + " lab vnet2 ARP: drop why\x1b[0m\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A fullDisk accepts as many bytes as its capacity, and then returns errFull.
type fullDisk struct{ capacity int }

var errFull = errors.New("no space left")

func (f *fullDisk) Write(p []byte) (int, error) {
	if f.capacity -= len(p); f.capacity < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// TestFull checks that a full disk is an error, at whichever byte.
func TestFull(t *testing.T) {
	outputs := map[string]func(*Output) error{
		"status":     func(o *Output) error { return o.Status(busy, now) },
		"quiet":      func(o *Output) error { return o.Status(quiet, now) },
		"ports":      func(o *Output) error { return o.Ports(nil, now) },
		"violations": func(o *Output) error { return o.Violations(nil, now) },
		"bindings":   func(o *Output) error { return o.Bindings([]api.Binding{db}, time.Now()) },
		"event":      func(o *Output) error { return o.Event(api.Event{Time: now, Words: "ARP"}) },
	}
	for name, write := range outputs {
		t.Run(name, func(t *testing.T) {
			var whole bytes.Buffer
			write(NewOutput(&whole))
			for capacity := range whole.Len() {
				if err := write(NewOutput(&fullDisk{capacity})); !errors.Is(err, errFull) {
					t.Fatalf("with space for %d of %d bytes: error %v", capacity, whole.Len(), err)
				}
			}
		})
	}
}
