package importer

import (
	"strings"
	"testing"
)

// TestNotOfDocker is told that something else is of Docker.
func TestNotOfDocker(t *testing.T) {
	const want = "no IPAM section; want a network, as `docker network inspect` prints it"
	tests := map[string]struct{ in, want string }{
		"object":  {`{"a": {}, "b": {}}`, "! stdin:1: " + want + "\n"},
		"list":    {"[{\"Name\": \"web\"},\n[]]", "! stdin:1: " + want + "\n! stdin:2: " + want + "\n"},
		"nothing": {"[]", ""},
		"neither": {"7", ""},
		"neighbours": {`[{"dst": "10.239.0.101", "lladdr": "02:00:06:de:54:a8"}]`, "! stdin: the format given is " +
			"docker, but it looks like neigh; without --format it is detected\n! stdin:1: " + want + "\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			found, err := Read([]string{"-"}, Options{Format: Docker, Stdin: strings.NewReader(tt.in), Now: now})
			if got := leftOutText(found); err == nil || got != tt.want {
				t.Errorf("%v, got\n%s\nwant\n%s", err, got, tt.want)
			}
		})
	}
}
