package daemon_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"golang.org/x/sys/unix"
)

// A dockerLab is an engine of Docker of its own, in the lab, with a network whose bridge is br0, and a fabric there.
type dockerLab struct {
	t      *testing.T
	dir    string
	socket string
	engine *exec.Cmd
	client *api.Client
}

var dockerGateway = netip.MustParseAddr("172.30.0.1")

// newDockerLab needs Docker. A machine without it may skip the test, even under CI, as .ci/run leaves out its steps.
func newDockerLab(t *testing.T) *dockerLab {
	t.Helper()
	if _, err := exec.LookPath("dockerd"); err != nil {
		t.Skip("needs dockerd, which is not installed")
	}
	labtest.NeedProgram(t, "docker", "busybox")
	dir, err := os.MkdirTemp("/run", "docker") // of the lab, in memory: the engine waits for the disk often
	labtest.Must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	l := &dockerLab{t: t, dir: dir, socket: filepath.Join(dir, "docker.sock")}
	l.startEngine()
	t.Cleanup(func() { lab.DeleteLink("br0") })
	l.docker("import", l.image(), "application")
	l.addNetwork()
	l.client = serve(t, fmt.Sprintf("networks:\n  backend:\n    attach: {bridge: br0}\n    subnet: 172.30.0.0/24\n    gateway: %s\n"+
		"    allow_empty: true\n    sources: [{docker: backend, socket: %q}]\n", dockerGateway, l.socket))
	return l
}

// startEngine starts the engine until the test ends, or until killEngine. The containers, and what else the engine starts,
// are in its namespace of processes, and so end with it.
func (l *dockerLab) startEngine() {
	l.t.Helper()
	settings, state := filepath.Join(l.dir, "daemon.json"), filepath.Join(l.dir, "run")
	labtest.Write(l.t, settings, "{}")
	labtest.Must(l.t, os.RemoveAll(state)) // as after a start of the machine: no process of then is there
	l.engine = exec.Command("sh", "-ec", `mount -t proc proc /proc && exec dockerd "$@"`, "sh", "--config-file", settings,
		"--data-root", filepath.Join(l.dir, "data"), "--exec-root", state, "--pidfile", filepath.Join(state, "pid"),
		"--host", "unix://"+l.socket, "--storage-driver", "vfs", "--exec-opt", "native.cgroupdriver=cgroupfs",
		"--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false")
	l.engine.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID}
	startProgram(l.t, "dockerd", l.engine, l.engine.Start)
	labtest.Eventually(l.t, "the engine answers", func() bool {
		return exec.Command("docker", "--host", "unix://"+l.socket, "info").Run() == nil
	})
}

// killEngine kills the engine, and so its containers.
func (l *dockerLab) killEngine() {
	l.t.Helper()
	labtest.Must(l.t, l.engine.Process.Kill())
	_ = l.engine.Wait()
}

// docker runs the command docker, and returns what it printed.
func (l *dockerLab) docker(args ...string) string {
	l.t.Helper()
	out, err := exec.Command("docker", append([]string{"--host", "unix://" + l.socket}, args...)...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// image writes the archive of an image that has nothing but this machine's busybox, as no image can be pulled everywhere.
func (l *dockerLab) image() (path string) {
	l.t.Helper()
	program, err := exec.LookPath("busybox")
	labtest.Must(l.t, err)
	data, err := os.ReadFile(program)
	labtest.Must(l.t, err)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	labtest.Must(l.t, w.WriteHeader(&tar.Header{Name: "busybox", Mode: 0o755, Size: int64(len(data))}))
	_, err = w.Write(data)
	labtest.Must(l.t, err)
	labtest.Must(l.t, w.Close())
	return labtest.TempFile(l.t, "image.tar", archive.String())
}

func (l *dockerLab) addNetwork() {
	l.t.Helper()
	l.docker("network", "create", "--internal", "--subnet", "172.30.0.0/24", "--opt", "com.docker.network.bridge.name=br0", "backend")
}

// start starts a container, and returns its binding as expect has it.
func (l *dockerLab) start(name string) string {
	l.t.Helper()
	l.docker("run", "--detach", "--name", name, "--network", "backend", "--stop-timeout", "1", "application", "/busybox", "sleep", "1000")
	return l.container(name)
}

// container returns the binding that a container should have.
func (l *dockerLab) container(name string) string {
	l.t.Helper()
	return l.docker("inspect", "--format", "{{with .NetworkSettings.Networks.backend}}{{.IPAddress}} {{.MacAddress}}{{end}} "+name, name)
}

// gateway returns the binding that the gateway should have.
func (l *dockerLab) gateway() string {
	l.t.Helper()
	bridge, err := net.InterfaceByName("br0")
	labtest.Must(l.t, err)
	return fmt.Sprintf("%s %s gateway", dockerGateway, bridge.HardwareAddr)
}

// expect waits until the source has these bindings alone.
func (l *dockerLab) expect(want ...string) {
	l.t.Helper()
	got := ""
	defer func() {
		if l.t.Failed() {
			l.t.Logf("the bindings are\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
	}()
	labtest.Eventually(l.t, "the bindings", func() bool {
		all, err := l.client.AllNetworkBindings(l.t.Context(), "backend", api.BindingQuery{Source: api.FromDocker})
		labtest.Must(l.t, err)
		var lines []string
		for _, b := range all {
			lines = append(lines, fmt.Sprintf("%s %s %s", b.First, b.MAC, b.Name))
		}
		got = strings.Join(lines, "\n")
		return got == strings.Join(want, "\n")
	})
}

// expectReaches waits until a container reaches an address.
func (l *dockerLab) expectReaches(name, addr string) {
	l.t.Helper()
	labtest.Eventually(l.t, name+" reaches "+addr, func() bool {
		return exec.Command("docker", "--host", "unix://"+l.socket, "exec", name, "/busybox", "ping", "-c", "1", "-W", "1", addr).Run() == nil
	})
}

// TestDocker has an engine of Docker whose containers, and which itself, start and stop.
func TestDocker(t *testing.T) {
	needRoot(t)
	l := newDockerLab(t)
	gateway := l.gateway()
	l.expect(gateway)
	web := l.start("web")
	l.expect(gateway, web)
	db := l.start("db")
	l.expect(gateway, web, db)
	dbAddr, _, _ := strings.Cut(db, " ")
	l.expectReaches("web", dbAddr)
	l.expectReaches("web", dockerGateway.String())

	l.docker("stop", "--time", "0", "db")
	l.expect(gateway, web)
	l.docker("start", "db")
	l.expect(gateway, web, l.container("db"))
	l.docker("restart", "--time", "0", "db")
	l.expect(gateway, web, l.container("db"))
	l.docker("kill", "db")
	l.expect(gateway, web)
	l.docker("network", "disconnect", "backend", "web")
	l.expect(gateway)
	l.docker("network", "connect", "--ip", "172.30.0.77", "backend", "web")
	web = l.container("web")
	l.expect(gateway, web)
	l.expectReaches("web", dockerGateway.String())

	// The containers end with the engine, but nobody says so until it is back.
	l.killEngine()
	l.expectError("asking Docker at " + l.socket)
	l.expect(gateway, web)
	l.startEngine()
	l.expectError("")
	l.expect(gateway)

	l.docker("rm", "web", "db")
	l.docker("network", "rm", "backend")
	l.expectError("there is no network backend in Docker")
	l.addNetwork()
	l.expectError("")
	l.expect(l.gateway())
}

// expectError waits until the source fails with an error that begins so, or until it does not fail if it is "".
func (l *dockerLab) expectError(want string) {
	l.t.Helper()
	labtest.Eventually(l.t, "the source's error "+want, func() bool {
		status, err := l.client.Status(l.t.Context())
		labtest.Must(l.t, err)
		got := status.Networks[0].Sources[0].Error
		return strings.HasPrefix(got, want) && (got == "") == (want == "")
	})
}
