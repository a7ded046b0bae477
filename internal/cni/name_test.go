package cni

import (
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/store"
)

// TestNames checks that the names are valid, that no two owners share one, and that each leads back to its owner.
func TestNames(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 8)
	pods, other, elsewhere := scope{"host1", "pods"}, scope{"host1", "other"}, scope{"host2", "pods"}
	owners := []owner{
		{pods, "c1", "eth0"}, {pods, "c1", "eth1"}, {pods, "c2", "eth0"}, {other, "c1", "eth0"}, {elsewhere, "c1", "eth0"},
		{pods, long, "eth0"}, {pods, long + "0", "eth0"}, {pods, "a.b-c.", "eth0"}, {pods, "gateway", "eth0"},
	}
	seen := map[string]bool{pods.prefix() + gatewayID: true}
	for _, o := range owners {
		for n := range 3 {
			name := o.name(n)
			if err := store.CheckName(name); err != nil || seen[name] {
				t.Errorf("%+v, number %d: name %s (%v), seen before: %v", o, n, name, err, seen[name])
			}
			seen[name] = true
			if id, ok := o.idOf(name); !ok || id != o.id() {
				t.Errorf("%s is of %s (%v), want %s", name, id, ok, o.id())
			}
			for _, s := range []scope{pods, other, elsewhere} {
				if _, ok := s.idOf(name); ok != (s == o.scope) {
					t.Errorf("%s is in %+v: %v", name, s, ok)
				}
			}
		}
	}
}
