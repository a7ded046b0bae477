package importer

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

// now is when the leases in testdata are read: some have ended.
var now = time.Unix(1767222222, 0)

// TestImport reads the files in each folder of testdata, without being told their formats, and wants exactly
// the configuration in its want.yaml, and the messages in its want.txt. A '!' is before what somebody will miss.
func TestImport(t *testing.T) {
	for folder, files := range inputs(t) {
		t.Run(folder, func(t *testing.T) {
			t.Chdir(filepath.Join("testdata", folder))
			written, messages := importText(t, files, "")
			if diff := cmp.Diff(read(t, "want.yaml"), written); diff != "" {
				t.Errorf("configuration (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(read(t, "want.txt"), messages); diff != "" {
				t.Errorf("messages (-want +got)\n%s", diff)
			}
			if written != "" {
				mustLoad(t, "want.yaml")
			}
		})
	}
}

// TestFormatGiven reads the same with the format given.
func TestFormatGiven(t *testing.T) {
	formats := map[string]Format{"hook": Libvirt, "isolated": Libvirt, "hostsfile": Dnsmasq,
		"kea-extended": Kea, "config-get": Kea, "config-get-list": Kea, "docker-one": Docker}
	for _, format := range Formats() {
		formats[string(format)] = format
	}
	all := inputs(t)
	for folder, format := range formats {
		t.Run(folder, func(t *testing.T) {
			t.Chdir(filepath.Join("testdata", folder))
			written, messages := importText(t, all[folder], format)
			if diff := cmp.Diff(read(t, "want.yaml")+read(t, "want.txt"), written+messages); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// inputs returns the files in each folder of testdata but those that are wanted of it.
func inputs(t *testing.T) map[string][]string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*/*")
	if err != nil || len(paths) == 0 {
		t.Fatalf("nothing in testdata (%v)", err)
	}
	files := map[string][]string{}
	for _, path := range paths {
		folder, name := filepath.Base(filepath.Dir(path)), filepath.Base(path)
		if folder != "fuzz" && !strings.HasPrefix(name, "want.") {
			files[folder] = append(files[folder], name)
		}
	}
	return files
}

// importText returns the configuration that is made of files, and what is said beside.
func importText(t *testing.T, files []string, format Format) (written, messages string) {
	t.Helper()
	found, err := Read(files, Options{Format: format, Now: now})
	messages = leftOutText(found)
	if err != nil {
		return "", messages + "error: " + err.Error() + "\n"
	}
	return yamlOf(t, found), messages
}

// hostsText returns the hosts with the places that they are from, and what is left out.
func hostsText(i *Import) string {
	var b strings.Builder
	for _, host := range i.Bindings {
		fmt.Fprintln(&b, host.First, host.MAC, host.Origin)
	}
	return b.String() + leftOutText(i)
}

// leftOutText returns what is left out, with a '!' before what somebody will miss.
func leftOutText(i *Import) string {
	var b strings.Builder
	for _, left := range i.LeftOut {
		mark := '!'
		if left.Expected {
			mark = '-'
		}
		fmt.Fprintf(&b, "%c %s\n", mark, left)
	}
	return b.String()
}

func yamlOf(t *testing.T, i *Import) string {
	t.Helper()
	var b strings.Builder
	if err := i.WriteYAML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func mustLoad(t *testing.T, path string) config.Network {
	t.Helper()
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return c.Networks[0]
}

func TestNamesGiven(t *testing.T) {
	files := []string{"testdata/several-networks/a.xml", "testdata/several-networks/b.xml"}
	found, err := Read(files, Options{Network: "both", Bridge: "br7", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(found.Network, " ", found.Bridge, " ", found.Subnet, " ", found.Gateway, " ", len(found.Bindings))
	if want := "both br7 invalid Prefix invalid IP 5"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWriteEthers(t *testing.T) {
	found, err := Read([]string{"testdata/neigh/neigh.json", "testdata/dnsmasq/dnsmasq.conf"}, Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	want := `02:00:00:de:54:a8 10.239.0.1
02:00:06:de:54:a8 10.239.0.101
02:00:07:de:54:a8 10.239.0.102 # db
02:00:08:de:54:a8 10.239.0.103 # web
02:00:09:de:54:a8 10.239.0.104 # build
02:00:0a:de:54:a8 10.239.0.105 # dual
02:00:0b:de:54:a8 10.239.0.106
`
	if diff := cmp.Diff(want, ethersOf(t, found)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func ethersOf(t *testing.T, i *Import) string {
	t.Helper()
	var b strings.Builder
	if err := i.WriteEthers(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	found, err := Read([]string{dir, filepath.Join(dir, "none"), "-"},
		Options{Stdin: strings.NewReader("02:00:06:de:54:a8 10.239.0.101\n"), Now: now})
	if err != nil || len(found.Bindings) != 1 || found.Bindings[0].Origin.String() != "stdin:1" {
		t.Fatalf("%v, %v", found, err)
	}
	got := fmt.Sprint(found.LeftOut[0], "\n", found.LeftOut[1])
	want := dir + ": the folder is empty\n" +
		dir + "/none: the file can't be read: no such file or directory"
	if got != want || found.IsComplete() {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCheck(t *testing.T) {
	good := Options{Format: Kea, Network: "lab-1.a_b", Bridge: "br0"}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	const rule = "letters, digits, '-', '_' and '.', a letter or digit first"
	for want, o := range map[string]Options{
		`unknown format "kia"; want one of ` + formatList():                 {Format: "kia"},
		`"a b" can't be a network's name: want 1 to 63 ` + rule:             {Network: "a b"},
		`"sixteen-bytes-it" can't be a bridge's name: want 1 to 15 ` + rule: {Bridge: "sixteen-bytes-it"},
		`"../x" can't be a network's name: want 1 to 63 ` + rule:            {Network: "../x"},
	} {
		if err := o.Check(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestTooMuch reads what would need more memory or stack than there is.
func TestTooMuch(t *testing.T) {
	tests := map[string]struct {
		format Format
		in     io.Reader
		want   string
	}{
		"large":     {Ethers, io.LimitReader(zeros{}, maxFileSize+1), "stdin: the file can't be read: it is larger than 64 MiB"},
		"deep JSON": {Kea, strings.NewReader(strings.Repeat("[", 1<<20)), "stdin:1: invalid JSON: nested too deeply"},
		"deep XML":  {Libvirt, strings.NewReader("<network>" + strings.Repeat("<ip>", 1<<20)), "stdin:1: invalid XML: unexpected EOF"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			found, err := Read([]string{"-"}, Options{Format: tt.format, Stdin: tt.in, Now: now})
			if err == nil || len(found.LeftOut) != 1 || found.LeftOut[0].String() != tt.want {
				t.Errorf("%v, %v", err, found.LeftOut)
			}
		})
	}
}

// zeros is a file without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestInputsAreReal asks the programs whose formats these are.
func TestInputsAreReal(t *testing.T) {
	t.Run("dnsmasq", func(t *testing.T) {
		labtest.NeedProgram(t, "dnsmasq")
		run(t, "dnsmasq", "--test", "--conf-file=testdata/dnsmasq/dnsmasq.conf")
	})
	t.Run("libvirt", func(t *testing.T) {
		labtest.NeedProgram(t, "xmllint")
		files, err := filepath.Glob("testdata/*/*.xml")
		if err != nil {
			t.Fatal(err)
		}
		files = slices.DeleteFunc(files, func(path string) bool { return strings.Contains(path, "broken") })
		run(t, "xmllint", append([]string{"--noout"}, files...)...)
	})
}

func run(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", program, err, out)
	}
}

func TestOutsideSubnetIsNamedWhereverItIs(t *testing.T) {
	const elsewhere = "02:00:06:de:54:a8 10.239.0.101\n02:00:06:de:54:a8 10.239.0.101\n"
	found, err := Read([]string{"testdata/libvirt/default.xml", "-"},
		Options{Stdin: strings.NewReader(elsewhere), Now: now})
	if err != nil || len(found.Bindings) != 3 {
		t.Fatalf("%v, %v", err, found.Bindings)
	}
	want := []string{
		"stdin:1: 10.239.0.101: this is not a host's address in the subnet 192.168.122.0/24",
		"stdin:2: 10.239.0.101: this is not a host's address in the subnet 192.168.122.0/24",
	}
	var got []string
	for _, left := range found.LeftOut[len(found.LeftOut)-2:] {
		got = append(got, left.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
