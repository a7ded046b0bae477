package transfer

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/store/etcd/etcdtest"
	"github.com/google/go-cmp/cmp"
)

var revisions = regexp.MustCompile(`(?m)^#.*\n|^revision.*\n| revision=[0-9]+`)

// export returns what a store has, without comments and revisions.
func export(t *testing.T, c config.Store) string {
	t.Helper()
	var text strings.Builder
	labtest.Must(t, Export(context.Background(), c, &text))
	return revisions.ReplaceAllString(text.String(), "")
}

// TestRoundTrip moves allocations from a folder to etcd, and back to another folder.
func TestRoundTrip(t *testing.T) {
	var text strings.Builder
	for i := range 100 { // several transactions
		fmt.Fprintf(&text, "allocate lab 10.239.1.%d 02:00:00:00:01:%02x name=n%d\n", i, i, i)
	}
	text.WriteString("held lab 10.239.2.4 02:00:0a:de:54:a8 at=2026-11-29T00:12:01Z\n" +
		"allocate other 10.239.0.103 02:00:09:de:54:a8 port=vnet3 expires=2036-11-29T12:00:00Z\n")
	c := etcdtest.Start(t, 1)
	cluster := config.Store{Etcd: &config.Etcd{Endpoints: c.Endpoints(), Prefix: "/arpfabric", Host: "a"}}
	for _, to := range []config.Store{{Folder: t.TempDir()}, cluster, {Folder: t.TempDir()}} {
		n, err := Import(context.Background(), to, strings.NewReader(text.String()))
		if err != nil || n != 102 {
			t.Fatalf("imported %d: %v", n, err)
		}
		got := export(t, to)
		if diff := cmp.Diff(text.String(), got); diff != "" {
			t.Fatalf("(-want +got)\n%s", diff)
		}
		if n, err := Import(context.Background(), to, strings.NewReader(got)); err != nil || n != 0 {
			t.Errorf("imported again: %d, %v", n, err)
		}
	}
	if got := c.Ctl("get", "--print-value-only", "/arpfabric/v1/names/lab/n7"); got != "10.239.1.7\n" {
		t.Errorf("the key of a name has %q", got)
	}
}

func TestImportRejects(t *testing.T) {
	const before = "allocate lab 10.239.0.3 02:00:00:00:00:03 name=web\n"
	c := etcdtest.Start(t, 1)
	for name, to := range map[string]config.Store{
		"folder": {Folder: t.TempDir()},
		"etcd":   {Etcd: &config.Etcd{Endpoints: c.Endpoints(), Prefix: "/arpfabric", Host: "a"}},
	} {
		_, err := Import(context.Background(), to, strings.NewReader(before))
		labtest.Must(t, err)
		for _, test := range []struct{ name, text, want string }{
			{"mistakes", "allocate lab 10.239.0.4 02:00:00:00:00:04\nallocate lab x\nallocate lab 10.239.0.5 x",
				"nothing was imported:\nline 2: \"x\" is not an IPv4 address\nline 3: \"x\" is not a MAC"},
			{"contradictions", "allocate lab 10.239.0.4 02:00:00:00:00:04 name=web\nallocate lab 10.239.0.3 02:00:00:00:00:09",
				"nothing was imported:\n10.239.0.3 of network lab is allocated to 02:00:00:00:00:03 already, not to 02:00:00:00:00:09\n" +
					"the name web of network lab has 10.239.0.3 already, not 10.239.0.4"},
		} {
			t.Run(name+"/"+test.name, func(t *testing.T) {
				if _, err := Import(context.Background(), to, strings.NewReader(test.text)); err == nil || !strings.HasPrefix(err.Error(), test.want) {
					t.Errorf("error %v\nwant %s", err, test.want)
				}
				if diff := cmp.Diff(before, export(t, to)); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			})
		}
	}
	if err := Export(context.Background(), config.Store{}, &strings.Builder{}); err == nil {
		t.Error("a store that is off was exported")
	}
}
