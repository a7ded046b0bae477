package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/datapath/bpf"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

// needKernelDatapath skips a test where the kernel can't answer, as for an ordinary user.
func needKernelDatapath(t *testing.T) {
	t.Helper()
	if missing := bpf.Missing(); len(missing) > 0 {
		t.Skipf("the datapath kernel needs %s", strings.Join(missing, " and "))
	}
}

// TestDatapathThatIsMissing checks that each need of the kernel's datapath is named: by check, which also says what it is
// instead, and by run, which does not start without it.
func TestDatapathThatIsMissing(t *testing.T) {
	skipIfShort(t)
	labtest.NeedProgram(t, "setpriv")
	newStage(t)
	without := func(capabilities string) []string {
		return []string{"setpriv", "--bounding-set", capabilities, "--inh-caps", capabilities}
	}
	inUserNamespace := bpf.Missing() // of the ordinary user who runs the test
	tests := []struct {
		name   string
		prefix []string
		want   string
	}{
		{"a capability", without("-bpf,-sys_admin"), "CAP_BPF"},
		{"two capabilities", without("-bpf,-perfmon,-sys_admin"), "CAP_BPF and CAP_PERFMON"},
		{"the network's capability", without("-net_admin"), "CAP_NET_ADMIN"},
		{"a user namespace", []string{"unshare", "--user", "--map-root-user"}, "privileges outside of this user namespace, as root of the machine has them"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := exec.Command(tt.prefix[0], append(tt.prefix[1:], "true")...).Run(); err != nil {
				labtest.Lacks(t, "needs to run %s: %v", strings.Join(tt.prefix, " "), err) // in a chroot there are no user namespaces
			}
			if len(inUserNamespace) > 0 {
				tt.want = inUserNamespace[0]
			}
			auto := labtest.TempFile(t, "arpfabric.yaml", onBridge(""))
			code, out := runToEnd(t, tt.prefix, "check", auto)
			if want := "\ndatapath user: kernel needs " + tt.want + "\n"; code != 0 || !strings.HasSuffix(out, want) {
				t.Errorf("check: exit code %d\n%s\nwant%s", code, out, want)
			}
			kernel := labtest.TempFile(t, "kernel.yaml", onBridge("datapath: kernel\n"))
			refusal := "the datapath `kernel` needs " + tt.want + "; provide it, or choose the datapath `auto` or `user`\n"
			code, out = runToEnd(t, tt.prefix, "check", kernel)
			if want := "\nwarning: " + refusal; code != 0 || !strings.HasSuffix(out, want) {
				t.Errorf("check: exit code %d\n%s\nwant%s", code, out, want)
			}
			code, out = runToEnd(t, tt.prefix, "run", "--config", auto, "--datapath", "kernel")
			if want := "arpfabric: " + refusal; code != 1 || out != want {
				t.Errorf("run: exit code %d\n%s\nwant\n%s", code, out, want)
			}
		})
	}
}

// TestDatapathIsChosen checks that the flag comes before the configuration, and that status and the log say what is in
// force.
func TestDatapathIsChosen(t *testing.T) {
	s := newStage(t)
	path := labtest.TempFile(t, "arpfabric.yaml", onBridge("datapath: kernel\n"))
	p := arpfabric(t, nil, "run", "--config", path, "--datapath", "user")
	p.expectLog(t, `msg=datapath in_force=user why="this was chosen"`)
	s.app.expectAnswered(t)
	if _, out := runToEnd(t, nil, "status"); !strings.Contains(out, "\ndatapath user: this was chosen\n") {
		t.Error(out)
	}
	if _, out := runToEnd(t, nil, "status", "--json"); !strings.Contains(out, `"in_force": "user"`) {
		t.Error(out)
	}
}

// TestDatapathChanges checks that a fabric with the datapath user removes the programs of one before it that was killed.
func TestDatapathChanges(t *testing.T) {
	needKernelDatapath(t)
	s := newStage(t)
	path := labtest.TempFile(t, "arpfabric.yaml", onBridge("datapath: kernel\n"))
	p := startWith(t, path)
	p.expectLog(t, "msg=datapath in_force=kernel")
	labtest.Must(t, p.Process.Kill())
	p.wait(t)
	if !hasProgram(t, s.app.Port) {
		t.Error("the program has not outlived the fabric")
	}
	p = arpfabric(t, nil, "run", "--config", path, "--datapath", "user")
	p.expectLog(t, "msg=datapath in_force=user")
	if hasProgram(t, s.app.Port) {
		t.Error("the program is still there")
	}
	s.app.expectAnswered(t)
}

// hasProgram reports whether an eBPF program of the fabric is attached to a port.
func hasProgram(t *testing.T, port string) bool {
	t.Helper()
	out, err := exec.Command("tc", "filter", "show", "dev", port, "ingress").CombinedOutput()
	if err != nil {
		t.Fatalf("tc: %v: %s", err, out)
	}
	return strings.Contains(string(out), " arpfabric ")
}
