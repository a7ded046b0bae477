package violation_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/violation"
	"github.com/arpfabric/arpfabric/responder"
)

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "violations.json")
	if records, err := violation.ReadFile(path); err != nil || len(records) > 0 {
		t.Errorf("without a file: %v (%v)", records, err)
	}
	b := newBench(t)
	b.add(spoof, spoof, forged(1), with(func(v *violation.Violation) {
		v.Reason, v.Action = responder.InvalidSenderMAC, responder.Pass
		v.SenderIdentity = responder.SenderIdentity{}
	}))
	for range 2 { // the second time it replaces the file
		labtest.Must(t, violation.WriteFile(path, b.All()))
	}
	got, err := violation.ReadFile(path)
	labtest.Must(t, err)
	want := b.All()
	for i := range want {
		want[i].Owner = got[i].Owner // it has none
	}
	if !slices.Equal(want, got) {
		t.Errorf("the file has\n%v\nwant\n%v", got, want)
	}
	others, err := os.ReadDir(filepath.Dir(path))
	labtest.Must(t, err)
	if info, err := others[0].Info(); len(others) != 1 || err != nil || info.Mode() != 0o600 {
		t.Errorf("the folder has %v; mode %v", others, info.Mode())
	}
}

// TestFileOfLimit checks that a full table's file is not too large to be read.
func TestFileOfLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "violations.json")
	long := with(func(v *violation.Violation) { v.Network = strings.Repeat("n", 64) })
	records := make([]violation.Record, violation.MaxRecords)
	for i := range records {
		records[i] = violation.Record{Violation: long, Count: 1 << 60}
	}
	labtest.Must(t, violation.WriteFile(path, records))
	if got, err := violation.ReadFile(path); len(got) != len(records) {
		t.Errorf("%d records (%v)", len(got), err)
	}
}

func TestFilesThatAreNotRead(t *testing.T) {
	for name, text := range map[string]string{
		"broken":            `{"version":1,"records":[`,
		"of another format": `{"version":2,"records":[]}`,
		"no MAC":            `{"version":1,"records":[{"mac":"x","reason":"spoofed-sender","action":"drop"}]}`,
		"no violation":      `{"version":1,"records":[{"mac":"02:00:00:00:00:01","reason":"answered","action":"reply"}]}`,
	} {
		path := labtest.TempFile(t, "violations.json", text)
		if records, err := violation.ReadFile(path); err == nil {
			t.Errorf("%s: %v", name, records)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	labtest.Must(t, os.Symlink(labtest.TempFile(t, "violations.json", `{"version":1,"records":[]}`), link))
	if _, err := violation.ReadFile(link); err == nil {
		t.Error("a symbolic link is followed")
	}
}
