package main

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/google/go-cmp/cmp"
)

// A hook is examples/libvirt-hook as libvirt runs it, with the programs and files that it needs.
type hook struct {
	script string
	bin    string // the only folder in its PATH
	folder string // of what the hook has allocated
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
	for _, name := range []string{"sh", "mktemp", "sort", "comm", "cut", "grep", "mv", "rm", "sleep"} {
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

// record returns the file of what the hook has allocated.
func (h *hook) record() string { return filepath.Join(h.folder, "default") }

// expectRecord checks what the hook has allocated.
func (h *hook) expectRecord(t *testing.T, want string) {
	t.Helper()
	got, err := os.ReadFile(h.record())
	labtest.Must(t, err)
	if string(got) != want {
		t.Errorf("the record is\n%swant\n%s", got, want)
	}
}

// opt makes an empty record: the hook does nothing for networks without one.
func (h *hook) opt(t *testing.T) {
	t.Helper()
	labtest.Write(t, h.record(), "")
}

// startDefault starts a fabric with the network of the hook's XML.
func startDefault(t *testing.T) (*stage, *api.Client) {
	t.Helper()
	s := newStage(t)
	startRun(t, "networks:\n  default:\n    attach: {bridge: br0}\n    allow_empty: true\n"+
		"store: {folder: "+filepath.Join(t.TempDir(), "store")+"}\n")
	client := api.NewClient(config.DefaultSocket)
	labtest.Eventually(t, "the fabric answers", func() bool { _, err := client.Status(context.Background()); return err == nil })
	return s, client
}

// expectAllocated checks the allocations, each as MAC, address and name.
func expectAllocated(t *testing.T, c *api.Client, want ...string) {
	t.Helper()
	all, err := c.AllNetworkBindings(context.Background(), "default", api.BindingQuery{Source: api.FromStore})
	labtest.Must(t, err)
	var got []string
	for _, b := range all {
		got = append(got, strings.TrimSpace(b.MAC+" "+b.First.String()+" "+b.Name))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("allocated (-want +got)\n%s", diff)
	}
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
	hostOfXML = "52:54:00:3b:1c:7e 192.168.122.1 host"
	oneHost   = `<host mac='52:54:00:a1:00:0f' name='stranger' ip='192.168.122.15'/>`
	oneHosts  = "52:54:00:3b:1c:7e 192.168.122.1 # host\n52:54:00:a1:00:0f 192.168.122.15 # stranger\n"
)

// TestHookAllocates follows a network from its start through changes of its XML.
func TestHookAllocates(t *testing.T) {
	h := newHook(t)
	_, client := startDefault(t)
	h.opt(t)
	_, err := client.Allocate(context.Background(), "default", api.NewAllocation{Address: "192.168.122.9"})
	labtest.Must(t, err)
	const others = "02:7a:09:de:54:a8 192.168.122.9" // which the hook must leave alone
	const nameless = `<host mac='52:54:00:a1:00:10' ip='192.168.122.16'/>`
	for _, tt := range []struct {
		operation, hosts string
		want             []string
	}{
		{"started", oneHost, []string{hostOfXML, others, "52:54:00:a1:00:0f 192.168.122.15 stranger"}},
		{"port-created", oneHost + nameless, []string{
			hostOfXML, others, "52:54:00:a1:00:0f 192.168.122.15 stranger", "52:54:00:a1:00:10 192.168.122.16",
		}},
		// The MACs change places, and the name goes.
		{"updated", `<host mac='52:54:00:a1:00:10' ip='192.168.122.15'/><host mac='52:54:00:a1:00:0f' ip='192.168.122.16'/>`, []string{
			hostOfXML, others, "52:54:00:a1:00:10 192.168.122.15", "52:54:00:a1:00:0f 192.168.122.16",
		}},
		{"updated", nameless, []string{hostOfXML, others, "52:54:00:a1:00:10 192.168.122.16"}},
	} {
		for range 2 { // the second time nothing changes
			// It logs that the guest stranger has no address when that is so.
			if log := h.run(t, tt.operation, hookXML(t, tt.hosts)); log != "" && !strings.Contains(log, "so there is no binding for it") {
				t.Errorf("%s: logged %s", tt.operation, log)
			}
			expectAllocated(t, client, tt.want...)
		}
	}
	h.expectRecord(t, "52:54:00:3b:1c:7e 192.168.122.1 # host\n52:54:00:a1:00:10 192.168.122.16\n")
}

func TestHookLeavesAlone(t *testing.T) {
	h := newHook(t)
	_, client := startDefault(t)
	if log := h.run(t, "started", hookXML(t, oneHost)); log != "" {
		t.Errorf("logged %s", log)
	}
	expectAllocated(t, client)
	h.opt(t)
	for _, operation := range []string{"start", "stopped", "port-deleted"} {
		h.run(t, operation, hookXML(t, oneHost))
		expectAllocated(t, client)
	}
}

// TestHookFailsSafe breaks an input or a program of the hook. The record must stay, and the log must have the cause.
func TestHookFailsSafe(t *testing.T) {
	twoOwners := oneHost + `<host mac='52:54:00:a1:00:99' ip='192.168.122.15'/>`
	tests := []struct {
		name, xml, want string
		spoil           func(h *hook)
	}{
		{"two owners", hookXML(t, twoOwners), "more than one MAC has this address, so none gets it", nil},
		{"no network", "<hookData/>", "no bindings found", nil},
		{"cut", hookXML(t, oneHost)[:400], "invalid XML", nil},
		{"nothing", "", "no bindings found", nil},
		{"no fabric", hookXML(t, oneHost), "no arpfabric is running", nil},
		{"no arpfabric", hookXML(t, oneHost), "arpfabric: ", func(h *hook) { os.Remove(filepath.Join(h.bin, "arpfabric")) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHook(t)
			labtest.Write(t, h.record(), oneHosts)
			if tt.spoil != nil {
				tt.spoil(h)
			}
			log := h.run(t, "updated", tt.xml)
			const stays = "network default: no allocation is changed"
			if !strings.Contains(log, tt.want) || !strings.Contains(log, stays) {
				t.Errorf("logged\n%swant %q, and %q", log, tt.want, stays)
			}
			h.expectRecord(t, oneHosts)
		})
	}
}

// TestHookTriesAgain refuses an allocation of the hook: the others are made, and the next event tries it again.
func TestHookTriesAgain(t *testing.T) {
	h := newHook(t)
	_, client := startDefault(t)
	h.opt(t)
	const other = "52:54:00:a1:00:99 192.168.122.99 stranger" // the name is taken
	_, err := client.Allocate(context.Background(), "default", api.NewAllocation{
		Address: "192.168.122.99", AllocationSettings: api.AllocationSettings{MAC: "52:54:00:a1:00:99", Name: "stranger"},
	})
	labtest.Must(t, err)
	if log := h.run(t, "started", hookXML(t, oneHost)); !strings.Contains(log, "the name stranger has 192.168.122.99") {
		t.Errorf("logged %s", log)
	}
	expectAllocated(t, client, hostOfXML, other)
	h.expectRecord(t, "")
	_, err = client.FreeBinding(context.Background(), "default", netip.MustParseAddr("192.168.122.99"), 0)
	labtest.Must(t, err)
	if log := h.run(t, "port-created", hookXML(t, oneHost)); log != "" {
		t.Errorf("logged %s", log)
	}
	expectAllocated(t, client, hostOfXML, "52:54:00:a1:00:0f 192.168.122.15 stranger")
	h.expectRecord(t, oneHosts)
}

func TestHookNamesAGuestWithoutAddress(t *testing.T) {
	h := newHook(t)
	startDefault(t)
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

// TestHookReachesTheFabric adds a guest to a running network, as `virsh net-update` does. The guest can talk when the
// hook ends.
func TestHookReachesTheFabric(t *testing.T) {
	h := newHook(t)
	h.opt(t)
	s, _ := startDefault(t)
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
	s.app.expectAnswered(t)
	h.opt(t) // as if the hook were new, and run by hand with the output of virsh
	if log := h.run(t, "updated", strings.NewReplacer("<hookData>", "", "</hookData>", "").Replace(xml)); log != "" {
		t.Errorf("logged %s", log)
	}
}

func TestHookIsClean(t *testing.T) {
	labtest.NeedProgram(t, "shellcheck")
	if out, err := exec.Command("shellcheck", "../../examples/libvirt-hook").CombinedOutput(); err != nil {
		t.Errorf("%s", out)
	}
}
