// Package etcdtest runs etcd clusters for tests, on the loopback interface of a lab. Only tests import it. The server is the
// program etcd that is installed, or the one that the environment variable ETCDTEST_SERVER names: the module in the folder
// current builds the current release.
package etcdtest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"golang.org/x/sys/unix"
)

// A Cluster is a number of etcd processes.
type Cluster struct {
	t       testing.TB
	folder  string
	options []string // of all members
	ctl     []string // options of etcdctl
	members []*member
	peers   string
}

type member struct {
	name, client, peer string
	process            *exec.Cmd     // nil unless it runs
	ended              chan struct{} // closed when the process has ended
}

// lastPort is the last port in use. It is below the ports that the kernel gives to clients.
var lastPort atomic.Int32

func nextURL(scheme, addr string) string {
	lastPort.CompareAndSwap(0, 12000)
	return fmt.Sprintf("%s://%s:%d", scheme, addr, lastPort.Add(1))
}

const loopback = "127.0.0.1"

// Start starts a cluster of n members that serve http. It skips the test if etcd is not installed.
func Start(t testing.TB, n int, options ...string) *Cluster {
	t.Helper()
	return start(t, n, "http", loopback, options, nil)
}

// StartAt starts a cluster of n members that serve http on an address of the lab.
func StartAt(t testing.TB, n int, addr string) *Cluster {
	t.Helper()
	return start(t, n, "http", addr, nil, nil)
}

// StartTLS starts a cluster of one member that serves https, with options for its TLS. ctl are options for etcdctl.
func StartTLS(t testing.TB, options, ctl []string) *Cluster {
	t.Helper()
	return start(t, 1, "https", loopback, options, ctl)
}

func start(t testing.TB, n int, scheme, addr string, options, ctl []string) *Cluster {
	t.Helper()
	labtest.NeedProgram(t, server(), "etcdctl")
	c := &Cluster{t: t, folder: t.TempDir(), options: options, ctl: ctl}
	var peers []string
	for i := range n {
		m := &member{name: fmt.Sprintf("m%d", i), client: nextURL(scheme, addr), peer: nextURL("http", loopback)}
		c.members = append(c.members, m)
		peers = append(peers, m.name+"="+m.peer)
	}
	c.peers = strings.Join(peers, ",")
	t.Cleanup(c.KillAll)
	for i := range n {
		c.Restart(i)
	}
	c.AwaitReady()
	return c
}

// server returns the name or the path of the server.
func server() string { return cmp.Or(os.Getenv("ETCDTEST_SERVER"), "etcd") }

// Endpoints returns the URLs of all members.
func (c *Cluster) Endpoints() (all []string) {
	for _, m := range c.members {
		all = append(all, m.client)
	}
	return all
}

// Restart starts a member that is not running, with the data that it had.
func (c *Cluster) Restart(i int) {
	c.t.Helper()
	m := c.members[i]
	cmd := exec.Command(server(), append([]string{
		"--name", m.name, "--data-dir", filepath.Join(c.folder, m.name), "--log-level", "error", "--logger", "zap",
		"--listen-client-urls", m.client, "--advertise-client-urls", m.client,
		"--listen-peer-urls", m.peer, "--initial-advertise-peer-urls", m.peer, "--initial-cluster", c.peers,
		"--heartbeat-interval", "100", "--election-timeout", "1000",
	}, c.options...)...)
	log, err := os.OpenFile(filepath.Join(c.folder, m.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	labtest.Must(c.t, err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	ended := make(chan struct{})
	m.process, m.ended = cmd, ended
	started := make(chan error, 1)
	go func() {
		defer close(ended)
		runtime.LockOSThread() // the kernel sends Pdeathsig when the thread that started the process ends
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	labtest.Must(c.t, <-started)
}

// Kill kills a member, without a chance to say goodbye.
func (c *Cluster) Kill(i int) {
	if m := c.members[i]; m.process != nil {
		_ = m.process.Process.Kill()
		<-m.ended
		m.process = nil
	}
}

// KillAll kills all members.
func (c *Cluster) KillAll() {
	for i := range c.members {
		c.Kill(i)
	}
}

// Wipe deletes the data of all members, which must not be running.
func (c *Cluster) Wipe() {
	for _, m := range c.members {
		labtest.Must(c.t, os.RemoveAll(filepath.Join(c.folder, m.name)))
	}
}

// Signal sends a signal to a member, such as SIGSTOP.
func (c *Cluster) Signal(i int, s syscall.Signal) {
	labtest.Must(c.t, c.members[i].process.Process.Signal(s))
}

// AwaitReady waits until most members answer.
func (c *Cluster) AwaitReady() {
	c.t.Helper()
	labtest.Eventually(c.t, "etcd answers", func() bool {
		_, err := c.Try("get", "ready")
		return err == nil || strings.Contains(err.Error(), "user name is empty")
	})
}

// Leader returns the number of the leader.
func (c *Cluster) Leader() (leader int) {
	c.t.Helper()
	labtest.Eventually(c.t, "a leader", func() bool {
		for i, m := range c.members {
			if m.process == nil {
				continue
			}
			// The columns are endpoint, ID, version, size, whether it is the leader, ...
			out, err := c.run(m.client, "endpoint", "status")
			fields := strings.Split(out, ", ")
			if err == nil && len(fields) > 4 && fields[4] == "true" {
				leader = i
				return true
			}
		}
		return false
	})
	return leader
}

// Compact makes etcd forget all that is not the newest.
func (c *Cluster) Compact() {
	c.t.Helper()
	var answer struct{ Header struct{ Revision int64 } }
	labtest.Must(c.t, json.Unmarshal([]byte(c.Ctl("get", "any", "--write-out", "json")), &answer))
	c.Ctl("compact", fmt.Sprint(answer.Header.Revision))
}

// Ctl runs etcdctl, and returns its output.
func (c *Cluster) Ctl(args ...string) string {
	c.t.Helper()
	out, err := c.Try(args...)
	labtest.Must(c.t, err)
	return out
}

// Try runs etcdctl, which may fail.
func (c *Cluster) Try(args ...string) (string, error) {
	return c.run(strings.Join(c.Endpoints(), ","), args...)
}

func (c *Cluster) run(endpoints string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), labtest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "etcdctl", append(append([]string{"--endpoints", endpoints, "--command-timeout", "5s"}, c.ctl...), args...)...)
	cmd.Env = append(os.Environ(), "ETCDCTL_API=3")
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("etcdctl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}
