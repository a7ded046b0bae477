package importer

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/google/go-cmp/cmp"
)

// TestKeaLeaseFiles reads the files that Kea spreads its leases over.
func TestKeaLeaseFiles(t *testing.T) {
	const (
		app     = "10.239.0.151,02:00:06:de:54:a8,3600,1767225600,0\n"
		db      = "10.239.0.152,02:00:07:de:54:a8,3600,1767225600,0\n"
		other   = "10.239.0.152,02:00:08:de:54:a8,3600,1767225600,0\n"
		ended   = "10.239.0.152,02:00:07:de:54:a8,3600,1600003600,0\n"
		back    = "10.239.0.152,02:00:07:de:54:a8,0,1767222000,0\n"
		state   = "10.239.0.152,02:00:07:de:54:a8,3600,1767225600,2\n"
		torn    = "10.239.0.152,02:00:07:de:54:a8,36"
		gotBoth = "10.239.0.151 02:00:06:de:54:a8 leases.2:2\n10.239.0.152 02:00:07:de:54:a8 leases.2:3\n"
		gotApp  = "10.239.0.151 02:00:06:de:54:a8 leases.2:2\n"
	)
	type files map[string]string
	tests := map[string]struct {
		files files
		read  string
		want  string
	}{
		"one is all of it": {files{"leases": app}, "leases",
			"10.239.0.151 02:00:06:de:54:a8 leases:2\n"},
		"nothing new": {files{"leases.2": app + db, "leases": ""}, "leases.2 leases", gotBoth},
		"renewed": {files{"leases.2": app + db, "leases": db}, "leases.2 leases",
			gotApp + "10.239.0.152 02:00:07:de:54:a8 leases:2\n"},
		"another has it now": {files{"leases.2": db + app, "leases": other}, "leases.2 leases",
			"10.239.0.151 02:00:06:de:54:a8 leases.2:3\n10.239.0.152 02:00:08:de:54:a8 leases:2\n"},
		"ended": {files{"leases.2": app + db, "leases": ended}, "leases.2 leases",
			gotApp + "- leases:2: 10.239.0.152: the lease has expired\n"},
		"given back": {files{"leases.2": app + db, "leases": back}, "leases.2 leases",
			gotApp + "- leases:2: 10.239.0.152: the client released the lease\n"},
		"given back, and given out": {files{"leases.2": app + db, "leases": back + other}, "leases.2 leases",
			gotApp + "10.239.0.152 02:00:08:de:54:a8 leases:3\n"},
		"reclaimed": {files{"leases.2": app + db, "leases": state}, "leases.2 leases",
			gotApp + "- leases:2: 10.239.0.152: the lease is not in use (state 2)\n"},
		"unreadable": {files{"leases.2": app + db, "leases": torn}, "leases.2 leases",
			gotApp + "! leases:2: 10.239.0.152: there are 3 values for 5 columns\n"},
		"while it cleans up": {files{"leases.2": app + db, "leases.1": back, "leases": other}, "leases.2 leases.1 leases",
			gotApp + "10.239.0.152 02:00:08:de:54:a8 leases:2\n"},
		"with what others know": {files{"leases.2": app + db, "leases": other, "ethers": "02:00:07:de:54:a8 10.239.0.152"},
			"leases.2 ethers leases", gotApp + "! ethers:1: 10.239.0.152: more than one MAC has this address, so none gets it: " +
				"02:00:07:de:54:a8 (ethers:1), 02:00:08:de:54:a8 (leases:2)\n"},
		"older ones left out": {files{"leases.2": app, "leases.1": app, "leases.completed": app, "leases.output": app, "leases": db},
			"leases", "10.239.0.152 02:00:07:de:54:a8 leases:2\n" +
				"! leases: Kea moved older leases to leases.2; import that file too, before this one\n" +
				"! leases: Kea moved older leases to leases.1; import that file too, before this one\n" +
				"! leases: Kea moved older leases to leases.completed; import that file too, before this one\n"},
		"by another path": {files{"leases.2": app, "leases": ""}, "./leases.2 leases",
			"10.239.0.151 02:00:06:de:54:a8 ./leases.2:2\n"},
		"in the wrong order": {files{"leases.2": app + db, "leases.1": db, "leases": other}, "leases leases.1 leases.2", gotBoth +
			"! leases: Kea moved older leases to leases.2; import that file too, before this one\n" +
			"! leases: Kea moved older leases to leases.1; import that file too, before this one\n" +
			"! leases.1: Kea moved older leases to leases.2; import that file too, before this one\n"},
		"of another format": {files{"ethers.2": app, "ethers": "02:00:07:de:54:a8 10.239.0.152"}, "ethers",
			"10.239.0.152 02:00:07:de:54:a8 ethers:1\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			for file, text := range tt.files {
				if strings.HasPrefix(file, "leases") {
					text = "address,hwaddr,valid_lifetime,expire,state\n" + text
				}
				labtest.Write(t, file, text)
			}
			found, err := Read(strings.Fields(tt.read), Options{Now: now})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, hostsText(found)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// FuzzKeaLeaseFiles holds that leases in two files are the same hosts as in one, unless a file is refused as binary: then
// the other is still read.
func FuzzKeaLeaseFiles(f *testing.F) {
	const header = "address,hwaddr,valid_lifetime,expire,state\n"
	const lease = "10.239.0.151,02:00:06:de:54:a8,3600,1767225600,0\n"
	f.Add("", lease)
	f.Add(lease, "10.239.0.151,02:00:08:de:54:a8,3600,1767225600,0\n")
	f.Add(lease, "10.239.0.151,02:00:06:de:54:a8,0,1767225600,0\n"+lease)
	f.Add(lease, "10.239.0.151,02:00")
	f.Add("address,hwaddr,expire,valid_lifetime\n10.239.0.152,02:00:06:de:54:a8,1767225600,3600\n", lease)
	dir := f.TempDir()
	paths := map[string]string{}
	for _, name := range []string{"older", "newer", "whole"} {
		paths[name] = filepath.Join(dir, name)
	}
	f.Fuzz(func(t *testing.T, older, newer string) {
		if strings.Contains(older+newer, "\x00") {
			return
		}
		older, newer = header+older, header+newer
		labtest.Write(t, paths["older"], older)
		labtest.Write(t, paths["newer"], newer)
		labtest.Write(t, paths["whole"], older+"\n"+newer)
		o := Options{Format: KeaLeases, Now: now}
		two, _ := Read([]string{paths["older"], paths["newer"]}, o)
		one, _ := Read([]string{paths["whole"]}, o)
		if diff := cmp.Diff(ethersOf(t, one), ethersOf(t, two)); diff != "" {
			t.Errorf("(-one +two)\n%s", diff)
		}
	})
}
