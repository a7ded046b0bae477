package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/google/go-cmp/cmp"
)

func TestCheck(t *testing.T) {
	skipIfShort(t)
	good := labtest.TempFile(t, "arpfabric.yaml", onBridge(""))
	bad := labtest.TempFile(t, "arpfabric.yaml", "networks:\n  lab:\n    attach: {bridge: br0}\n    registry:\n      10.239.0.300: \"02:00:00:de:54:a8\"\n      10.239.0.1: \"zz\"\n")
	summary := "lab: vpc on bridge br0, 3 bindings, guard full\n"
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"good", []string{good}, 0, summary},
		{"bad", []string{bad}, 1, bad + ":5: networks.lab.registry.10.239.0.300: \"10.239.0.300\" is not an IPv4 address\n" +
			bad + ":6: networks.lab.registry.10.239.0.1: \"zz\" is not a MAC address; write six bytes, like 02:00:06:de:54:a8\n"},
		{"unknown flag", []string{"--no"}, 2, "arpfabric: unknown flag: --no; see 'arpfabric check --help'\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, out := runToEnd(t, nil, append([]string{"check"}, tt.args...)...)
			if code != tt.code || out != tt.want {
				t.Errorf("exit code %d\n%s\nwant %d\n%s", code, out, tt.code, tt.want)
			}
		})
	}
}

// TestCheckSeveral checks that each line names its file if there are several.
func TestCheckSeveral(t *testing.T) {
	skipIfShort(t)
	good, bad := labtest.TempFile(t, "arpfabric.yaml", onBridge("")), labtest.TempFile(t, "arpfabric.yaml", "networks:\n")
	code, out := runToEnd(t, nil, "check", good, bad)
	want := good + ": lab: vpc on bridge br0, 3 bindings, guard full\n" +
		bad + ":1: networks: no networks; a configuration needs at least one\n"
	if code != exitNo || out != want {
		t.Errorf("exit code %d\n%swant\n%s", code, out, want)
	}
}

// TestCheckOnTheHost checks that check warns about what differs on a machine that has an interface of the configuration, and
// that these are no mistakes.
func TestCheckOnTheHost(t *testing.T) {
	newStage(t)
	const summary = "lab: vpc on bridge br0 (uplink eth9), 3 bindings, guard full\n"
	missing := "the uplink eth9 is not a member of br0; 'bridge link' lists the members, and a member that is not listed under uplinks is a guest port"
	misspelt := "there is no bridge brO; make it first: ip link add brO type bridge && ip link set brO up"
	file := labtest.TempFile(t, "arpfabric.yaml", attached("{bridge: br0, uplinks: [eth9]}", ""))
	if code, out := runToEnd(t, nil, "check", file); code != 0 || masked(out) != summary+"lab: warning: "+missing+"\ndatapath DATAPATH\n" {
		t.Errorf("a missing uplink: exit code %d\n%s", code, out)
	}
	_, out := runToEnd(t, nil, "check", "--json", file)
	var results []struct{ Networks []struct{ Findings []string } }
	labtest.Must(t, json.Unmarshal([]byte(out), &results))
	if got := results[0].Networks[0].Findings; len(got) != 1 || got[0] != missing {
		t.Errorf("findings in JSON: %q", got)
	}
	file = labtest.TempFile(t, "arpfabric.yaml", attached("{bridge: brO, uplinks: [vnet2]}", ""))
	if code, out := runToEnd(t, nil, "check", file); code != 0 || !strings.HasSuffix(masked(out), "lab: warning: "+misspelt+"\ndatapath DATAPATH\n") {
		t.Errorf("a misspelt bridge: exit code %d\n%s", code, out)
	}
	file = labtest.TempFile(t, "arpfabric.yaml", attached("{bridge: br7, uplinks: [eth9]}", ""))
	if code, out := runToEnd(t, nil, "check", file); code != 0 || strings.Contains(out, "warning") {
		t.Errorf("another machine's configuration: exit code %d\n%s", code, out)
	}
}

// TestCheckDefault checks that the configuration of 'run' is checked if the command line names none.
func TestCheckDefault(t *testing.T) {
	skipIfShort(t)
	file := labtest.TempFile(t, "arpfabric.yaml", onBridge(""))
	t.Setenv("ARPFABRIC_CONFIG", file)
	if code, out := runToEnd(t, nil, "check"); code != 0 || out != file+": lab: vpc on bridge br0, 3 bindings, guard full\n" {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

func TestCheckStandardInput(t *testing.T) {
	skipIfShort(t)
	for text, want := range map[string]string{
		onBridge(""):  "lab: vpc on bridge br0, 3 bindings, guard full\n",
		"networks:\n": "-:1: networks: no networks; a configuration needs at least one\n",
	} {
		p := launch(t, func(cmd *exec.Cmd) error {
			cmd.Stdin = strings.NewReader(text)
			return cmd.Start()
		}, nil, "check", "-")
		p.wait(t)
		if out := p.output.String(); out != want {
			t.Errorf("%s\nwant %s", out, want)
		}
	}
}

// TestCheckGroups checks that check warns of groups that the machine does not have.
func TestCheckGroups(t *testing.T) {
	skipIfShort(t)
	file := labtest.TempFile(t, "lab.yaml", "api: {group: no-such-group, writers: no-writers}\n"+onBridge(""))
	want := "lab: vpc on bridge br0, 3 bindings, guard full\n" +
		"warning: api.group: there is no group no-such-group on this machine; create the group, or change api.group\n" +
		"warning: api.writers: there is no group no-writers on this machine; create the group, or change api.writers\n"
	if code, out := runToEnd(t, nil, "check", file); code != 0 || out != want {
		t.Errorf("exit code %d\n%s\nwant %s", code, out, want)
	}
	if _, out := runToEnd(t, nil, "check", "--json", file); !strings.Contains(out, `"api.group: there is no group no-such-group`) {
		t.Error(out)
	}
	known := labtest.TempFile(t, "known.yaml", "api: {group: root, writers: 4242}\n"+onBridge(""))
	off := labtest.TempFile(t, "off.yaml", "api: {socket: off, group: no-such-group}\n"+onBridge(""))
	if code, out := runToEnd(t, nil, "check", known, off); code != 0 || strings.Contains(out, "warning") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

func TestCheckJSON(t *testing.T) {
	skipIfShort(t)
	good, bad := labtest.TempFile(t, "good.yaml", onBridge("")), labtest.TempFile(t, "bad.yaml", "networks:\n")
	code, out := runToEnd(t, nil, "check", "--json", good, bad)
	var got any
	labtest.Must(t, json.Unmarshal([]byte(out), &got))
	type object = map[string]any
	network := object{"name": "lab", "mode": "vpc", "attach": "bridge br0", "guard": "full", "bindings": 3.}
	problem := object{
		"file": bad, "line": 1., "path": "networks", "message": "no networks; a configuration needs at least one",
	}
	want := []any{
		object{"file": good, "networks": []any{network}, "problems": []any{}},
		object{"file": bad, "networks": []any{}, "problems": []any{problem}},
	}
	if diff := cmp.Diff(any(want), got); diff != "" || code != exitNo {
		t.Errorf("exit code %d (-want +got)\n%s", code, diff)
	}
}

func TestCheckExamples(t *testing.T) {
	skipIfShort(t)
	examples, err := filepath.Glob("../../examples/*.yaml")
	labtest.Must(t, err)
	examples = append(examples, "../../config/reference.yaml")
	if code, out := runToEnd(t, nil, append([]string{"check"}, examples...)...); code != 0 {
		t.Errorf("exit code %d\n%s", code, out)
	}
}
