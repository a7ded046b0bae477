package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

// TestDemoShell runs a script as the user's shell: the commands that the demo says there are.
func TestDemoShell(t *testing.T) {
	skipIfShort(t)
	out := runDemoShell(t, `#!/bin/sh
set -e
app arpfabric ask 10.239.0.102
arpfabric status --check
arpfabric explain --port vnet-app 'who-has 10.239.0.1 tell 10.239.0.102' | grep '^spoofed' || true
sed -i 's/10.239.0.102/10.239.0.103/' /run/arpfabric.yaml
arpfabric reload
db arpfabric ask 10.239.0.103 || echo "exit code $?"
`)
	for _, want := range []string{
		"Reply 10.239.0.102 is-at 02:00:07:de:54:a8, ", "\nok\n", "\nspoofed-sender ", " is in force, from /run/arpfabric.yaml\n",
		"no reply in 1s\n", "exit code 1\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
}

// TestDemoHostsShell does the same with two hosts.
func TestDemoHostsShell(t *testing.T) {
	skipIfShort(t)
	labtest.NeedProgram(t, "etcd", "etcdctl")
	out := runDemoShell(t, `#!/bin/sh
sleep 1000 & # which must not keep the demo
set -e
host1 arpfabric allocate --name web --address 10.239.0.101 --mac 02:00:65:de:54:a8
until app2 arpfabric ask --timeout 100ms 10.239.0.101; do :; done
host2 arpfabric status --check
host1 etcdctl get --prefix --keys-only /arpfabric/v1/hosts
`, "--hosts", "2")
	for _, want := range []string{
		"Reply 10.239.0.101 is-at 02:00:65:de:54:a8, ", "\nok\n", "/arpfabric/v1/hosts/host2\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
}

// runDemoShell runs a script as the user's shell in the demo, and returns the output.
func runDemoShell(t *testing.T, script string, args ...string) string {
	t.Helper()
	shell := filepath.Join(t.TempDir(), "shell")
	labtest.Write(t, shell, script)
	labtest.Must(t, exec.Command("chmod", "+x", shell).Run())
	t.Setenv("SHELL", shell)
	p := launch(t, func(cmd *exec.Cmd) error {
		cmd.Env = append(lab.Environ(), asProgram+"=1") // it makes a lab of its own
		return cmd.Start()
	}, nil, append([]string{"demo", "--shell"}, args...)...)
	if code := p.wait(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	return p.output.String()
}

// TestDemoHostsIsRefused expects the reason for a number of hosts that cannot be, without a lab.
func TestDemoHostsIsRefused(t *testing.T) {
	if code, out := runToEnd(t, nil, "demo", "--hosts", "1"); code != 1 || !strings.Contains(out, "want 2 to 9 hosts, not 1") {
		t.Errorf("exit code %d, %s", code, out)
	}
}
