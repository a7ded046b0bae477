package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	skipIfShort(t)
	good := write(t, onBridge(""))
	bad := write(t, "networks:\n  lab:\n    attach: {bridge: br0}\n    registry:\n      10.239.0.300: \"02:00:00:de:54:a8\"\n      10.239.0.1: \"zz\"\n")
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
		{"nothing", nil, 2, "arpfabric: requires at least 1 arg(s), only received 0; see 'arpfabric check --help'\n"},
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
	code, out := runToEnd(t, nil, "check", good, bad)
	if code != 1 || !strings.HasPrefix(out, summary) || !strings.Contains(out, "is not an IPv4 address") {
		t.Errorf("one good and one bad: exit code %d\n%s", code, out)
	}
}

func TestCheckExamples(t *testing.T) {
	skipIfShort(t)
	examples, err := filepath.Glob("../../examples/*.yaml")
	must(t, err)
	if code, out := runToEnd(t, nil, append([]string{"check"}, examples...)...); code != 0 {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

func TestUnknownCommand(t *testing.T) {
	skipIfShort(t)
	code, out := runToEnd(t, nil, "rnu")
	if code != 2 || !strings.Contains(out, `unknown command "rnu"`) {
		t.Errorf("exit code %d, %s", code, out)
	}
}
