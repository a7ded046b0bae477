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
	const script = `#!/bin/sh
set -e
app arpfabric ask 10.239.0.102
arpfabric status --check
arpfabric explain --port vnet-app 'who-has 10.239.0.1 tell 10.239.0.102' | grep '^spoofed' || true
sed -i 's/10.239.0.102/10.239.0.103/' /run/arpfabric.yaml
arpfabric reload
db arpfabric ask 10.239.0.103 || echo "exit code $?"
`
	shell := filepath.Join(t.TempDir(), "shell")
	labtest.Write(t, shell, script)
	labtest.Must(t, exec.Command("chmod", "+x", shell).Run())
	t.Setenv("SHELL", shell)
	p := launch(t, func(cmd *exec.Cmd) error {
		cmd.Env = append(lab.Environ(), asProgram+"=1") // it makes a lab of its own
		return cmd.Start()
	}, nil, "demo", "--shell")
	if code := p.wait(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{
		"Reply 10.239.0.102 is-at 02:00:07:de:54:a8, ", "\nok\n", "\nspoofed-sender ", "configuration 2 is in force",
		"no reply in 1s\n", "exit code 1\n",
	} {
		if out := p.output.String(); !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
}

// TestDemoHostsIsRefused expects the reason for a number of hosts or a flag that cannot be, without a lab.
func TestDemoHostsIsRefused(t *testing.T) {
	for args, want := range map[string]string{
		"--hosts=1":         "want 2 to 9 hosts, not 1",
		"--hosts=3 --shell": "leave --hosts out",
	} {
		code, out := runToEnd(t, nil, append([]string{"demo"}, strings.Fields(args)...)...)
		if code != 1 || !strings.Contains(out, want) {
			t.Errorf("%s: exit code %d, %s", args, code, out)
		}
	}
}
