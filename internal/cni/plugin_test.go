package cni

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/daemon"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"golang.org/x/sys/unix"
)

// pluginsVariable names an environment variable with the folder of the plugins, and of cnitool.
const pluginsVariable = "ARPFABRIC_TEST_CNI_PLUGINS"

// TestMain is the plugin if a runtime starts this program. Else it builds the other plugins, outside of the lab, which has
// no network to fetch their modules, and runs the tests.
func TestMain(m *testing.M) {
	if os.Getenv("CNI_COMMAND") != "" {
		skel.PluginMainFuncs(Commands, Versions, "test")
		return
	}
	flag.Parse()
	if lab.IsInside() || testing.Short() {
		os.Exit(labtest.RunTests(m))
	}
	os.Exit(runWithPlugins(m))
}

func runWithPlugins(m *testing.M) int {
	folder, err := os.MkdirTemp("", "cni")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	build := exec.Command("go", "build", "-C", "testdata/plugins", "-o", folder, "tool")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the plugins of testdata/plugins: %v\n%s", err, out)
		return labtest.RunTests(m) // which skips the tests that need them
	}
	os.Setenv(pluginsVariable, folder)
	return labtest.RunTests(m)
}

// A runtime is cnitool, with the plugins, and a fabric that has the example's configuration.
type runtime struct {
	t      *testing.T
	client *api.Client
}

// newRuntime starts a fabric on the configuration of examples/cni.yaml. The configurations of networks are in folders.
func newRuntime(t *testing.T, networks string) *runtime {
	t.Helper()
	plugins := os.Getenv(pluginsVariable)
	if testing.Short() {
		t.Skip("-short: building the plugins takes long")
	}
	if plugins == "" {
		labtest.Lacks(t, "the modules of testdata/plugins cannot be built")
	}
	labtest.NeedProgram(t, "ip", "ping")
	labtest.Must(t, unix.Mount("lab", "/var/lib", "tmpfs", 0, "mode=0755")) // runtimes and plugins keep files there
	t.Cleanup(func() { labtest.Must(t, unix.Unmount("/var/lib", unix.MNT_DETACH)) })
	t.Cleanup(func() { _ = lab.DeleteLink("cni0") }) // if a container has brought it
	self, err := filepath.Abs(os.Args[0])
	labtest.Must(t, err)
	bin := t.TempDir()
	labtest.Must(t, os.Symlink(self, filepath.Join(bin, "arpfabric")))
	t.Setenv("CNI_PATH", plugins+":"+bin)
	t.Setenv("NETCONFPATH", networks)
	t.Setenv("PATH", plugins+":"+os.Getenv("PATH"))
	return &runtime{t, startFabric(t, "../../examples/cni.yaml")}
}

// startFabric runs a fabric until the test ends.
func startFabric(t *testing.T, path string) *api.Client {
	t.Helper()
	cfg, err := config.Load(path)
	labtest.Must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- daemon.Serve(ctx, cfg, slog.New(slog.DiscardHandler), func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		labtest.Must(t, <-ended)
	})
	select {
	case err := <-ended:
		t.Fatal(err)
	case <-ready:
	}
	return api.NewClient(config.DefaultSocket)
}

// addContainer makes a network namespace.
func (r *runtime) addContainer(name string) (path string) {
	r.t.Helper()
	r.mustRun("ip", "netns", "add", name)
	r.t.Cleanup(func() { _ = exec.Command("ip", "netns", "delete", name).Run() }) // some tests have deleted it
	return "/run/netns/" + name
}

func (r *runtime) run(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, out, &stderr)
	}
	return string(out), err
}

func (r *runtime) mustRun(name string, args ...string) string {
	r.t.Helper()
	out, err := r.run(name, args...)
	labtest.Must(r.t, err)
	return out
}

// add adds a container to a network, checks that its port is guarded already, and returns its address.
func (r *runtime) add(network, container string) string {
	r.t.Helper()
	var result current.Result
	labtest.Must(r.t, json.Unmarshal([]byte(r.mustRun("cnitool", "add", network, "/run/netns/"+container)), &result))
	ports, err := r.client.Ports(context.Background())
	labtest.Must(r.t, err)
	if len(result.IPs) != 1 || len(result.Interfaces) != 3 {
		r.t.Fatalf("container %s has the addresses %v, and the interfaces %v", container, result.IPs, result.Interfaces)
	}
	port := result.Interfaces[1].Name // behind the bridge, before that of the container
	if !slices.ContainsFunc(ports, func(p api.Port) bool { return p.Name == port }) {
		r.t.Errorf("container %s may send before its port %s is guarded", container, port)
	}
	return result.IPs[0].Address.IP.String()
}

func (r *runtime) expectPing(from, to string) {
	r.t.Helper()
	r.mustRun("ip", "netns", "exec", from, "ping", "-c", "1", "-W", "10", to)
}

// expectAllocated checks which addresses are allocated.
func (r *runtime) expectAllocated(want ...string) {
	r.t.Helper()
	all, err := r.client.AllNetworkBindings(context.Background(), "pods", api.BindingQuery{Source: api.FromStore})
	labtest.Must(r.t, err)
	var got []string
	for _, b := range all {
		got = append(got, b.First.String())
	}
	slices.Sort(got)
	if slices.Sort(want); !slices.Equal(got, want) {
		r.t.Errorf("allocated are %v, want %v", got, want)
	}
}

const gateway = "10.244.0.1"

// TestContainers adds containers to the network of the example, before its bridge is there, checks that they reach each
// other and the gateway, and deletes them.
func TestContainers(t *testing.T) {
	r := newRuntime(t, "../../examples")
	first, second := r.addContainer("c1"), r.addContainer("c2")
	a, b := r.add("pods", "c1"), r.add("pods", "c2")
	r.expectAllocated(a, b, gateway)
	r.expectPing("c1", b)
	r.expectPing("c2", gateway)
	r.mustRun("cnitool", "check", "pods", first)

	// Not registered, so not let through: c1 gives itself another address.
	r.mustRun("ip", "-n", "c1", "address", "add", "10.244.0.99/24", "dev", "eth0")
	if _, err := r.run("ip", "netns", "exec", "c1", "ping", "-c", "1", "-W", "1", "-I", "10.244.0.99", b); err == nil {
		t.Error("a container reaches another one from an address that is not its own")
	}

	r.mustRun("cnitool", "del", "pods", first)
	r.expectAllocated(b, gateway)
	r.mustRun("cnitool", "del", "pods", first)
	r.mustRun("ip", "netns", "delete", "c2")
	r.mustRun("cnitool", "gc", "pods", second)
	r.expectAllocated(gateway)
}

// TestAddressFromFabric adds containers to a network without an IPAM plugin: the fabric gives them addresses.
func TestAddressFromFabric(t *testing.T) {
	networks := t.TempDir()
	labtest.Write(t, filepath.Join(networks, "plain.conflist"), `{"cniVersion": "1.1.0", "name": "plain", "plugins": [
		{"type": "bridge", "bridge": "cni0", "ipam": {}}, {"type": "arpfabric", "network": "pods"}]}`)
	r := newRuntime(t, networks)
	r.addContainer("c1")
	r.addContainer("c2")
	r.mustRun("cnitool", "status", "plain", "/run/netns/c1")
	a, b := r.add("plain", "c1"), r.add("plain", "c2")
	r.expectAllocated(a, b)
	r.expectPing("c1", b)
	r.mustRun("cnitool", "check", "plain", "/run/netns/c2")
	r.mustRun("cnitool", "del", "plain", "/run/netns/c1")
	r.expectAllocated(b)
}

// TestPage checks that docs/cni.md shows the examples, except for the comment at the top.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/cni.md")
	labtest.Must(t, err)
	for _, example := range []string{"cni.yaml", "cni.conflist"} {
		text, err := os.ReadFile("../../examples/" + example)
		labtest.Must(t, err)
		for strings.HasPrefix(string(text), "#") {
			_, text, _ = bytes.Cut(text, []byte("\n"))
		}
		if !strings.Contains(string(page), "\n"+string(text)+"```\n") {
			t.Errorf("docs/cni.md does not show examples/%s", example)
		}
	}
}

// call runs a command of the plugin, as a runtime does, and returns its error.
func (r *runtime) call(command, container, stdin string) *types.Error {
	r.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CNI_COMMAND="+command, "CNI_CONTAINERID="+container, "CNI_IFNAME=eth0",
		"CNI_NETNS=/run/netns/"+container)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	if err == nil {
		return nil
	}
	failed := &types.Error{}
	if err := json.Unmarshal(out, failed); err != nil || failed.Msg == "" {
		r.t.Fatalf("%s: %s is no error of CNI", command, out)
	}
	return failed
}

func (r *runtime) mustCall(command, container, stdin string) {
	r.t.Helper()
	if err := r.call(command, container, stdin); err != nil {
		r.t.Fatalf("%s: %v (%d)", command, err, err.Code)
	}
}

// TestCommands calls the plugin with results of a plugin before that are not those of bridge, and in states that a runtime
// rarely leaves.
func TestCommands(t *testing.T) {
	r := newRuntime(t, "../../examples")
	labtest.Must(t, lab.AddBridge("cni0"))
	guest, err := lab.AddGuest(lab.GuestConfig{Name: "c1", Port: "veth1", Bridge: "cni0", MAC: guestMAC})
	labtest.Must(t, err)
	t.Cleanup(func() { labtest.Must(t, guest.Delete()) })
	conf := func(more string) string {
		return `{"cniVersion": "1.1.0", "name": "net", "type": "arpfabric", "network": "pods"` + more + "}"
	}
	result := func(mac, ips string) string {
		return conf(fmt.Sprintf(`, "prevResult": {"interfaces": [{"name": "veth1"}, {"name": "eth0", "mac": %q, "sandbox": "/run/netns/c1"}],
			"ips": [%s]}`, mac, ips))
	}
	const two = `{"address": "10.244.0.7/24", "interface": 1}, {"address": "10.244.0.8/24"}, {"address": "fd00::7/64"}`
	valid := result(guestMAC.String(), two)

	r.mustCall("STATUS", "c1", conf(""))
	r.mustCall("ADD", "c1", valid)
	r.mustCall("ADD", "c1", valid)
	r.expectAllocated("10.244.0.7", "10.244.0.8")
	r.mustCall("CHECK", "c1", valid)
	// The runtime has lost the container c1, and the IPAM plugin gives its addresses to another one.
	r.mustCall("ADD", "c2", valid)
	r.expectAllocated("10.244.0.7", "10.244.0.8")
	r.mustCall("DEL", "c1", conf(""))
	r.expectAllocated("10.244.0.7", "10.244.0.8")
	r.mustCall("GC", "", conf(`, "cni.dev/valid-attachments": [{"containerID": "c2", "ifname": "eth0"}]`))
	r.expectAllocated("10.244.0.7", "10.244.0.8")
	r.mustCall("GC", "", strings.Replace(conf(""), `"net"`, `"other"`, 1))
	r.expectAllocated("10.244.0.7", "10.244.0.8")
	r.mustCall("GC", "", conf(`, "cni.dev/valid-attachments": [{"containerID": "c2", "ifname": "eth1"}]`))
	r.expectAllocated()
	r.mustCall("DEL", "c2", valid)
	r.mustCall("DEL", "c2", strings.Replace(conf(""), `"pods"`, `"gone"`, 1))

	_, err = r.client.Allocate(context.Background(), "pods", api.NewAllocation{
		Address: "10.244.0.9", AllocationSettings: api.AllocationSettings{Name: "web"},
	})
	labtest.Must(t, err)
	const taken = `{"address": "10.244.0.9/24"}`
	for _, tt := range []struct {
		name, command, stdin string
		code                 uint
		text                 string
	}{
		{"no plugin before", "ADD", conf(""), types.ErrInvalidNetworkConfig, "list arpfabric behind the plugin that connects"},
		{"no interface", "ADD", conf(`, "prevResult": {"interfaces": []}`), types.ErrInvalidNetworkConfig, "no interface eth0"},
		{"no MAC", "ADD", result("", two), types.ErrInvalidNetworkConfig, "no valid MAC of eth0"},
		{"no network", "ADD", strings.Replace(valid, `"pods"`, `"gone"`, 1), types.ErrInvalidNetworkConfig, "arpfabric has no network gone"},
		{"no network", "STATUS", strings.Replace(conf(""), `"pods"`, `"gone"`, 1), types.ErrPluginNotAvailable, "arpfabric has no network gone"},
		{"no fabric", "ADD", strings.Replace(valid, `"pods"`, `"pods", "socket": "/run/no.sock"`, 1), types.ErrTryAgainLater, "no arpfabric is running on /run/no.sock"},
		{"no fabric", "DEL", conf(`, "socket": "/run/no.sock"`), types.ErrTryAgainLater, "no arpfabric is running on /run/no.sock"},
		{"no fabric", "STATUS", conf(`, "socket": "/run/no.sock"`), types.ErrLimitedConnectivity, "no arpfabric is running on /run/no.sock"},
		{"no setting", "DEL", conf(`, "socket": 7`), types.ErrDecodingFailure, "socket"},
		{"outside the subnet", "ADD", result(guestMAC.String(), `{"address": "10.245.0.9/24"}`), types.ErrInvalidNetworkConfig, "outside the network's subnet"},
		{"somebody's address", "ADD", result(guestMAC.String(), taken), errRefused, "10.244.0.9 is bound already; to "},
		{"somebody's address", "CHECK", result(guestMAC.String(), taken), errMismatch, "10.244.0.9 in network pods is not that of the container; it has the MAC"},
		{"no binding", "CHECK", valid, types.ErrInvalidNetworkConfig, "10.244.0.7 has no binding in network pods"},
	} {
		t.Run(tt.command+" "+tt.name, func(t *testing.T) {
			err := r.call(tt.command, "c1", tt.stdin)
			if err == nil || err.Code != tt.code || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want code %d and %q", err, tt.code, tt.text)
			}
		})
	}
	r.expectAllocated("10.244.0.9")
}

// TestAwaitPort waits for a port of another bridge, and then for the same port, as it joins the right one.
func TestAwaitPort(t *testing.T) {
	r := newRuntime(t, "../../examples")
	labtest.Must(t, lab.AddBridge("cni0"))
	labtest.Must(t, lab.AddBridge("other"))
	t.Cleanup(func() { labtest.Must(t, lab.DeleteLink("other")) })
	guest, err := lab.AddGuest(lab.GuestConfig{Name: "c1", Port: "veth1", Bridge: "other", MAC: guestMAC})
	labtest.Must(t, err)
	t.Cleanup(func() { labtest.Must(t, guest.Delete()) })
	p := &plugin{settings: settings{Network: "pods"}, client: r.client}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	failed, ok := errors.AsType[*types.Error](p.awaitPort(ctx, "veth1"))
	if !ok || failed.Code != types.ErrTryAgainLater {
		t.Errorf("a port of another bridge: %v", failed)
	}
	labtest.Must(t, lab.SetMaster("veth1", "cni0"))
	labtest.Must(t, p.awaitPort(context.Background(), "veth1"))
}

var guestMAC = net.HardwareAddr{2, 0, 6, 0xde, 0x54, 0xa8}
