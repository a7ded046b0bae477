package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/wire"
	"golang.org/x/sys/unix"
)

func startRun(t *testing.T, configuration string) *program {
	t.Helper()
	return startWith(t, labtest.TempFile(t, "arpfabric.yaml", configuration))
}

func startWith(t *testing.T, path string) *program {
	t.Helper()
	p := arpfabric(t, nil, "run", "--config", path)
	p.expectLog(t, "network attached")
	return p
}

func TestSignalsStopItAndNothingStays(t *testing.T) {
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGINT} {
		t.Run(unix.SignalName(signal), func(t *testing.T) {
			eachGuarded(t, func(t *testing.T, configure func(string) string) {
				s := newStage(t)
				p := startRun(t, configure(""))
				s.app.expectAnswered(t)
				labtest.Must(t, p.Process.Signal(signal))
				if code := p.wait(t); code != 0 {
					t.Errorf("exit code %d:\n%s", code, p.output.String())
				}
				if guardIsThere(t) {
					t.Error("the guard is still there")
				}
				expectNoTAP(t)
				s.app.Send(s.app.request("10.239.0.102"))
				labtest.Eventually(t, "db hears app again", func() bool { return s.db.heard() > 0 })
			})
		})
	}
}

func expectNoTAP(t *testing.T) {
	t.Helper()
	labtest.Eventually(t, "arp0 is gone", func() bool { _, err := net.InterfaceByName("arp0"); return err != nil })
}

// TestConfigurationFromAPipe checks that a configuration from <(COMMAND) stays in force: a pipe cannot be read again.
func TestConfigurationFromAPipe(t *testing.T) {
	labtest.NeedProgram(t, "bash")
	s := newStage(t)
	path := labtest.TempFile(t, "arpfabric.yaml", onBridge(""))
	p := arpfabric(t, []string{"bash", "-c", `exec "$0" "$1" --config <(cat "$2")`}, "run", path)
	p.expectLog(t, "network attached")
	s.app.expectAnswered(t)
	labtest.Must(t, p.Process.Signal(unix.SIGHUP))
	p.expectLog(t, "not a regular file, but a pipe")
	s.app.expectAnswered(t)
}

func TestHoldAndRelease(t *testing.T) {
	s := newStage(t)
	p := startRun(t, onBridge("    policy: {on_stop: hold}\n"))
	code, out := runToEnd(t, nil, "release")
	if want := fmt.Sprintf("another fabric runs in this network namespace (process %d)", p.Process.Pid); code != 1 || !strings.Contains(out, want) {
		t.Errorf("release while it runs: exit code %d, %s", code, out)
	}
	labtest.Must(t, p.Process.Signal(unix.SIGTERM))
	if code := p.wait(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.output.String())
	}
	s.app.Send(s.app.request("10.239.0.102"))
	s.expectSilence(t)
	for _, want := range []string{"removed the guard: nftables table bridge arpfabric\n", "there is no guard to remove\n"} {
		if code, out := runToEnd(t, nil, "release"); code != 0 || masked(out) != want {
			t.Errorf("release: exit code %d, %s", code, out)
		}
	}
	s.app.Send(s.app.request("10.239.0.102"))
	labtest.Eventually(t, "db hears app again", func() bool { return s.db.heard() > 0 })
}

// TestKilledUnderLoad kills the program several times while app floods, and starts it again. db must receive nothing at
// any time.
func TestKilledUnderLoad(t *testing.T) {
	eachGuarded(t, func(t *testing.T, configure func(string) string) {
		s := newStage(t)
		p := startRun(t, configure(""))
		stop := labtest.SendRepeatedly(s.app.Capture, s.app.request("10.239.0.102"), s.app.request("10.239.0.1"), s.app.request("10.239.0.101"))
		defer stop()
		for range 5 {
			s.app.expectAnswered(t)
			labtest.Must(t, p.Process.Kill())
			<-p.ended
			if !guardIsThere(t) {
				t.Error("the guard is gone")
			}
			s.expectSilence(t)
			p = startRun(t, configure(""))
		}
		s.app.expectAnswered(t)
		stop()
		s.expectSilence(t)
	})
}

// TestKilledWhileTrafficFlows kills the program while app sends to db, and starts it again. db is silent, and the bridge
// forgets a MAC after a second, so that a bridge by itself would send to idle, too, what is for db.
func TestKilledWhileTrafficFlows(t *testing.T) {
	labtest.NeedProgram(t, "ip")
	s := newStage(t)
	idle := addGuest(t, 3, "idle")
	if out, err := exec.Command("ip", "link", "set", bridgeName, "type", "bridge", "ageing_time", "100").CombinedOutput(); err != nil {
		t.Fatalf("ip: %v: %s", err, out)
	}
	datagram := func(from, to *guest, text string) []byte {
		return lab.EchoReply(to.MAC, from.MAC, from.Addr.Addr(), to.Addr.Addr(), []byte(text))
	}
	configuration := onBridge(fmt.Sprintf("      %s: %q\n", idle.Addr.Addr(), idle.MAC))
	p := startRun(t, configuration)
	for _, g := range []*guest{s.app, s.db} {
		g.expectAnswered(t) // and so the fabric knows where the guest is
	}
	between := datagram(s.app, s.db, "from app to db")
	stop := labtest.SendRepeatedly(s.app.Capture, between)
	defer stop()
	expectFlow := func(when string) {
		t.Helper()
		time.Sleep(3 * time.Second) // the bridge has forgotten what it had learned by itself
		before := s.db.received(between)
		labtest.Eventually(t, "db hears app "+when, func() bool { return s.db.received(between) > before })
	}
	expectFlow("before the kill")
	labtest.Must(t, p.Process.Kill())
	<-p.ended
	expectFlow("after the kill")
	p = startRun(t, configuration)
	expectFlow("after the next start")
	stop()
	last := datagram(s.app, idle, "from app, to idle.")
	labtest.Eventually(t, "idle hears what is for it", func() bool {
		s.app.Send(last)
		return idle.received(last) > 0
	})
	if n := idle.received(between); n > 0 {
		t.Errorf("idle heard %d frames from app to db", n)
	}
	labtest.Must(t, p.Process.Signal(unix.SIGTERM))
	p.wait(t)
}

func TestSecondFabricIsRefused(t *testing.T) {
	s := newStage(t)
	p := startRun(t, onBridge(""))
	code, out := runToEnd(t, nil, "run", "--config", labtest.TempFile(t, "arpfabric.yaml", onBridge("")))
	want := fmt.Sprintf("arpfabric: another fabric runs in this network namespace (process %d); "+
		"stop it, or add your network to its configuration\n", p.Process.Pid)
	if code != 1 || out != want {
		t.Errorf("exit code %d, %q; want 1, %q", code, out, want)
	}
	s.app.expectAnswered(t)
	s.expectSilence(t)
}

// TestNobodyKeepsItOut has an unprivileged process pretend to be a fabric.
func TestNobodyKeepsItOut(t *testing.T) {
	pretender, err := net.Listen("unix", "@arpfabric")
	labtest.Must(t, err)
	defer pretender.Close()
	s := newStage(t)
	p := startRun(t, onBridge("    policy: {on_stop: hold}\n"))
	s.app.expectAnswered(t)
	for _, args := range [][]string{{"run", "--config", labtest.TempFile(t, "arpfabric.yaml", onBridge(""))}, {"release"}} {
		code, out := runToEnd(t, nil, args...)
		if code != 1 || !strings.Contains(out, "another fabric runs in this network namespace") {
			t.Errorf("%v while it runs: exit code %d, %s", args, code, out)
		}
	}
	labtest.Must(t, p.Process.Signal(unix.SIGTERM))
	p.wait(t)
	if code, out := runToEnd(t, nil, "release"); code != 0 || guardIsThere(t) {
		t.Errorf("release: exit code %d, %s", code, out)
	}
}

// TestWhatIsMissingIsSaid holds that a network waits for what the machine lacks, and says so.
func TestWhatIsMissingIsSaid(t *testing.T) {
	network := func(attach string) string { return "    attach: " + attach + bindings }
	tests := []struct{ name, configuration, want string }{
		{"bridge", "networks:\n  lab:\n" + network("{bridge: br7}"), "network=lab error=\"there is no bridge br7; make it first: ip link add br7"},
		{"not a bridge", "networks:\n  lab:\n" + network("{bridge: vnet1}"), "network=lab error=\"vnet1 is not a bridge"},
		{"interface", "networks:\n  lab:\n" + network("{interface: eth7}"), "network=lab error=\"there is no interface eth7"},
		{"member", "networks:\n  lab:\n" + network("{interface: vnet1}"), "network=lab error=\"vnet1 is a member of the bridge br0"},
		{"sidecar", "networks:\n  lab:\n" + network("{sidecar: eth7}"), "network=lab error=\"there is no interface eth7"},
		{"member as a sidecar", "networks:\n  lab:\n" + network("{sidecar: vnet1}"), "network=lab error=\"vnet1 is a member of the bridge br0, so this network namespace is no guest"},
		{"no Ethernet", "networks:\n  lab:\n" + network("{sidecar: lo}"), "network=lab error=\"lo has no MAC"},
		{"two things", "networks:\n  a:\n" + network("{interface: eth7}") + "  b:\n" + network("{bridge: br7}"), "network=b error=\"there is no bridge br7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			newStage(t)
			p := arpfabric(t, nil, "run", "--config", labtest.TempFile(t, "arpfabric.yaml", tt.configuration))
			p.expectLog(t, tt.want)
			labtest.Must(t, p.Process.Signal(unix.SIGTERM))
			p.wait(t)
		})
	}
}

func TestGroupInUse(t *testing.T) {
	newStage(t)
	other, err := wire.OpenNFLOG()
	labtest.Must(t, err)
	defer other.Close()
	code, out := runToEnd(t, nil, "run", "--config", labtest.TempFile(t, "arpfabric.yaml", onBridge("")))
	if want := fmt.Sprintf("NFLOG group %d is in use", wire.Group); code != 1 || !strings.Contains(out, want) {
		t.Errorf("exit code %d, %s; want %s", code, out, want)
	}
	if guardIsThere(t) {
		t.Error("there is a guard")
	}
}

func TestWithoutPrivileges(t *testing.T) {
	labtest.NeedProgram(t, "setpriv")
	newStage(t)
	tests := []struct{ attach, capabilities, want string }{
		{"{bridge: br0}", "-all", "run as root or with CAP_NET_ADMIN"},
		{"{bridge: br0}", "-all,+net_admin", "needs CAP_NET_RAW"},
		{"{interface: lo}", "-all", "needs CAP_NET_RAW"},
	}
	for _, tt := range tests {
		t.Run(tt.attach+" "+tt.capabilities, func(t *testing.T) {
			setpriv := []string{"setpriv", "--bounding-set", tt.capabilities, "--inh-caps", tt.capabilities, "--ambient-caps", tt.capabilities}
			path := labtest.TempFile(t, "arpfabric.yaml", "networks:\n  lab:\n    attach: "+tt.attach+bindings)
			code, out := runToEnd(t, setpriv, "run", "--config", path)
			if code != 1 || !strings.Contains(out, tt.want) || !strings.Contains(out, "arpfabric:") {
				t.Errorf("exit code %d, %s; want %s", code, out, tt.want)
			}
			if guardIsThere(t) {
				t.Error("there is a guard")
			}
		})
	}
}

func TestReleaseWithoutPrivileges(t *testing.T) {
	labtest.NeedProgram(t, "setpriv")
	setpriv := []string{"setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--ambient-caps", "-all"}
	code, out := runToEnd(t, setpriv, "release")
	const want = "arpfabric: removing the guard: not permitted to change nftables; run as root or with CAP_NET_ADMIN: "
	if code != exitNo || !strings.HasPrefix(out, want) || strings.Count(out, "\n") != 1 {
		t.Errorf("exit code %d\n%swant\n%s", code, out, want)
	}
}

func TestLogSaysWhatIsAttachedAndNoMore(t *testing.T) {
	s := newStage(t)
	p := startRun(t, onBridge("log: {format: json}\n"))
	for range 10 {
		s.app.expectAnswered(t)
	}
	labtest.Must(t, lab.DeleteLink(s.db.Port))
	p.expectLog(t, "port gone")
	addGuest(t, 3, "late")
	p.expectLog(t, "port attached")
	labtest.Must(t, p.Process.Signal(unix.SIGTERM))
	p.wait(t)
	var lines []map[string]any
	for line := range strings.Lines(p.output.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("not JSON: %s", line)
		}
		delete(fields, "time")
		delete(fields, "why") // the datapath is not the kernel's
		if fields["in_force"] != nil {
			fields["in_force"] = "DATAPATH"
		}
		if what, _ := fields["msg"].(string); strings.Contains(what, "CONFIG_NFT_BRIDGE_META") {
			continue // some kernels lack it
		}
		lines = append(lines, fields)
	}
	want := []string{
		"map[attach:bridge br0 bindings:3 guard:full level:INFO mode:vpc msg:network attached network:lab ports:2]",
		"map[in_force:DATAPATH level:INFO msg:datapath]",
		"map[level:INFO msg:port gone network:lab port:vnet2]",
		"map[level:INFO msg:port attached network:lab port:vnet3]",
		"map[level:INFO msg:stopping]",
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), len(want), p.output.String())
	}
	for i := range want {
		if got := fmt.Sprint(lines[i]); got != want[i] {
			t.Errorf("line %d is %s, want %s", i+1, got, want[i])
		}
	}
}

func TestLogOfEachFrame(t *testing.T) {
	s := newStage(t)
	p := startRun(t, onBridge("log: {level: debug}\n"))
	s.app.Send(s.app.request("10.239.0.55"))
	p.expectLog(t, `level=DEBUG msg="ARP, Request who-has 10.239.0.55 tell 10.239.0.101, length 28" `+
		"network=lab port=vnet1 action=drop reason=unknown-target")
}

func TestReloadByItself(t *testing.T) {
	s := newStage(t)
	path := labtest.TempFile(t, "arpfabric.yaml", onBridge(""))
	p := arpfabric(t, nil, "run", "--config", path)
	p.expectLog(t, "network attached")

	labtest.Write(t, path, "networks: {lab: {attach: {bridge: br0}, registry: {}}}\n")
	p.expectLog(t, "the one before stays in force")
	s.app.expectAnswered(t)

	next := filepath.Join(filepath.Dir(path), "next")
	labtest.Write(t, next, onBridge("      10.239.0.9: \"02:00:09:de:54:a8\"\n"))
	labtest.Must(t, os.Rename(next, path))
	p.expectLog(t, "bindings=4")

	labtest.Must(t, p.Process.Signal(unix.SIGHUP))
	labtest.Eventually(t, "SIGHUP reloads", func() bool { return strings.Count(p.output.String(), "configuration reloaded") == 2 })
	s.app.expectAnswered(t)
	s.expectSilence(t)
}

// TestHangupWhileLoading sends SIGHUP while the program reads a large registry: the reload must follow the start.
func TestHangupWhileLoading(t *testing.T) {
	newStage(t)
	path := labtest.TempFile(t, "arpfabric.yaml", onBridge("    mode: classic\n    registry_files: [large.ethers]\n"))
	large := filepath.Join(filepath.Dir(path), "large.ethers")
	var hosts bytes.Buffer
	for n := range 100_000 {
		fmt.Fprintf(&hosts, "02:00:00:%02x:%02x:%02x 10.%d.%d.%d\n", n>>16, n>>8&255, n&255, n>>16, n>>8&255, n&255)
	}
	labtest.Must(t, os.WriteFile(large, hosts.Bytes(), 0o600))
	p := arpfabric(t, nil, "run", "--config", path)
	labtest.Eventually(t, "the registry is being read", func() bool { return p.hasOpen(large) })
	labtest.Must(t, p.Process.Signal(unix.SIGHUP))
	p.expectLog(t, "network attached")
	p.expectLog(t, "configuration reloaded")
}

// hasOpen reports whether the program has a file open.
func (p *program) hasOpen(path string) bool {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.Process.Pid))
	return slices.ContainsFunc(files, func(fd string) bool {
		target, _ := os.Readlink(fd)
		return target == path
	})
}
