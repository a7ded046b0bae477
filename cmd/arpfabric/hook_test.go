package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

// A hook is examples/libvirt-hook as libvirt runs it, with the programs and files that it needs.
type hook struct {
	script string
	bin    string // the only folder in its PATH
	folder string // of the registries
	logged string // file with its lines to the system log
}

// newHook installs the hook, with a logger that writes to a file, and a virsh that hangs, as a real one does in a hook.
func newHook(t *testing.T) *hook {
	t.Helper()
	script, err := filepath.Abs("../../examples/libvirt-hook")
	labtest.Must(t, err)
	dir := t.TempDir()
	h := &hook{script, filepath.Join(dir, "bin"), filepath.Join(dir, "libvirt"), filepath.Join(dir, "log")}
	labtest.Must(t, os.Mkdir(h.bin, 0o700))
	labtest.Must(t, os.Mkdir(h.folder, 0o700))
	h.program(t, "logger", `echo "$*" >>`+h.logged)
	h.program(t, "virsh", "sleep infinity")
	for _, name := range []string{"sh", "mktemp", "cmp", "chmod", "mv", "rm", "sleep"} {
		path, err := exec.LookPath(name)
		labtest.Must(t, err)
		labtest.Must(t, os.Symlink(path, filepath.Join(h.bin, name)))
	}
	self, err := filepath.Abs(os.Args[0])
	labtest.Must(t, err)
	labtest.Must(t, os.Symlink(self, filepath.Join(h.bin, "arpfabric")))
	return h
}

func (h *hook) program(t *testing.T, name, script string) {
	t.Helper()
	labtest.Must(t, os.WriteFile(filepath.Join(h.bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700))
}

// run runs the hook for an operation on the network `default`, and returns its log. In any case the hook must exit with
// 0 and write nothing: libvirt takes output for a failure.
func (h *hook) run(t *testing.T, operation, xml string) string {
	t.Helper()
	os.Remove(h.logged)
	cmd := exec.Command(h.script, "default", operation, "begin", "-")
	cmd.Env = []string{"PATH=" + h.bin, "LC_ALL=C", "ARPFABRIC_LIBVIRT=" + h.folder, asProgram + "=1"}
	cmd.Stdin = strings.NewReader(xml)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%s: %v\n%s", operation, err, out)
	}
	left, err := filepath.Glob(filepath.Join(h.folder, ".hook*"))
	labtest.Must(t, err)
	if len(left) > 0 {
		t.Errorf("it left %s", left)
	}
	log, _ := os.ReadFile(h.logged)
	return string(log)
}

func (h *hook) registry() string { return filepath.Join(h.folder, "default.ethers") }

// expect checks the lines of the registry.
func (h *hook) expect(t *testing.T, want string) {
	t.Helper()
	got, err := os.ReadFile(h.registry())
	labtest.Must(t, err)
	if string(got) != want {
		t.Errorf("the registry is\n%swant\n%s", got, want)
	}
}

// opt creates an empty registry: the hook only updates registries that exist.
func (h *hook) opt(t *testing.T) {
	t.Helper()
	labtest.Must(t, os.WriteFile(h.registry(), nil, 0o600))
}

// hookXML returns the XML that libvirt writes for a network with these hosts.
func hookXML(t *testing.T, hosts string) string {
	t.Helper()
	xml, err := os.ReadFile("../../internal/importer/testdata/hook/stdin.xml")
	labtest.Must(t, err)
	const host = `<host mac='52:54:00:a1:00:0a' name='build' ip='192.168.122.10'/>`
	if !strings.Contains(string(xml), host) {
		t.Fatal("the XML has changed")
	}
	return strings.Replace(string(xml), host, hosts, 1)
}

const (
	oneHost  = `<host mac='52:54:00:a1:00:0f' name='stranger' ip='192.168.122.15'/>`
	oneHosts = "52:54:00:3b:1c:7e 192.168.122.1 # host\n52:54:00:a1:00:0f 192.168.122.15 # stranger\n"
)

func TestHookUpdatesTheRegistry(t *testing.T) {
	for _, operation := range []string{"started", "updated", "port-created"} {
		h := newHook(t)
		h.opt(t)
		if log := h.run(t, operation, hookXML(t, oneHost)); log != "" {
			t.Errorf("%s: logged %s", operation, log)
		}
		h.expect(t, oneHosts)
		info, err := os.Stat(h.registry())
		labtest.Must(t, err)
		if info.Mode() != 0o644 {
			t.Errorf("mode %v: a daemon that is not root can't read it", info.Mode())
		}
		h.run(t, "started", hookXML(t, oneHost))
		again, err := os.Stat(h.registry())
		labtest.Must(t, err)
		if !os.SameFile(info, again) {
			t.Error("it was written again though nothing had changed")
		}
	}
}

func TestHookLeavesAlone(t *testing.T) {
	h := newHook(t)
	if log := h.run(t, "started", hookXML(t, oneHost)); log != "" {
		t.Errorf("logged %s", log)
	}
	if _, err := os.Stat(h.registry()); err == nil {
		t.Error("it made a registry that nobody had asked for")
	}
	h.opt(t)
	for _, operation := range []string{"start", "stopped", "port-deleted"} {
		h.run(t, operation, hookXML(t, oneHost))
		h.expect(t, "")
	}
}

// TestHookFailsSafe breaks an input or a program of the hook. The registry must stay, and the log must have the cause.
func TestHookFailsSafe(t *testing.T) {
	const stays = "default.ethers stays as it was"
	twoOwners := oneHost + `<host mac='52:54:00:a1:00:99' ip='192.168.122.15'/>`
	tests := []struct {
		name, xml, want string
		spoil           func(h *hook)
	}{
		{"two owners", hookXML(t, twoOwners), "more than one MAC has this address, so none gets it", nil},
		{"no network", "<hookData/>", "no bindings found", nil},
		{"cut", hookXML(t, oneHost)[:400], "invalid XML", nil},
		{"nothing", "", "no bindings found", nil},
		{"no arpfabric", hookXML(t, oneHost), "arpfabric: ", func(h *hook) { os.Remove(filepath.Join(h.bin, "arpfabric")) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHook(t)
			labtest.Write(t, h.registry(), oneHosts)
			if tt.spoil != nil {
				tt.spoil(h)
			}
			log := h.run(t, "updated", tt.xml)
			if !strings.Contains(log, tt.want) || !strings.Contains(log, stays) || !strings.Contains(log, "network default: ") {
				t.Errorf("logged\n%swant %q, and %q", log, tt.want, stays)
			}
			h.expect(t, oneHosts)
		})
	}
}

func TestHookNamesAGuestWithoutAddress(t *testing.T) {
	h := newHook(t)
	h.opt(t)
	const want = "network default: stdin:19: stranger 52:54:00:a1:00:0f: " +
		"this guest has no <host mac= ip=/> in the network's XML, so there is no binding for it\n"
	if log := h.run(t, "port-created", hookXML(t, "")); log != "-t arpfabric-hook -- "+want {
		t.Errorf("logged\n%swant\n%s", log, want)
	}
	page, err := os.ReadFile("../../docs/libvirt.md")
	labtest.Must(t, err)
	if !strings.Contains(string(page), "```\n"+want+"```") {
		t.Errorf("docs/libvirt.md does not show %s", want)
	}
}

// TestHookReachesTheFabric adds a guest to a running network, as `virsh net-update` does.
func TestHookReachesTheFabric(t *testing.T) {
	s := newStage(t)
	h := newHook(t)
	labtest.Must(t, os.WriteFile(h.registry(), []byte("02:00:00:de:54:a8 10.239.0.1\n"), 0o644))
	p := startRun(t, "networks:\n  default:\n    attach: {bridge: br0}\n    registry_files: ["+h.registry()+"]\n")
	const xml = `<hookData>
  <network connections='1'>
    <name>default</name>
    <bridge name='br0' stp='on' delay='0'/>
    <mac address='02:00:00:de:54:a8'/>
    <ip address='10.239.0.1' prefix='24'>
      <dhcp>
        <host mac='02:00:06:de:54:a8' name='app' ip='10.239.0.101'/>
      </dhcp>
    </ip>
  </network>
</hookData>`
	if log := h.run(t, "updated", xml); log != "" {
		t.Errorf("logged %s", log)
	}
	p.expectLog(t, "configuration reloaded")
	s.app.expectAnswered(t)
}

func TestHookIsClean(t *testing.T) {
	labtest.NeedProgram(t, "shellcheck")
	if out, err := exec.Command("shellcheck", "../../examples/libvirt-hook").CombinedOutput(); err != nil {
		t.Errorf("%s", out)
	}
}
