package store

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"
)

func openIn(t *testing.T, folder string) *File {
	t.Helper()
	f, err := Open(folder)
	labtest.Must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func write(t *testing.T, folder, name, text string) {
	t.Helper()
	labtest.Must(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
}

func read(t *testing.T, folder, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, name))
	labtest.Must(t, err)
	return string(data)
}

// web has all fields.
var web = Allocation{
	Network: "lab", Address: addr(3), MAC: macOf(3), Name: "web", Port: "vnet3", Expires: morning.Add(24 * time.Hour),
}

// TestText compares the files with what an operator should see.
func TestText(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "made")
	f := openIn(t, folder)
	root, user := Caller{0, 4711}, Caller{1000, 4712}
	before := web
	moved := web
	moved.MAC, moved.Port = macOf(9), ""
	labtest.Must(t, f.Commit([]Change{{Kind: Allocate, Allocation: web, At: morning, By: root}, allocate(4), allocate(5)}))
	labtest.Must(t, f.Commit([]Change{{Kind: Modify, Allocation: moved, Before: &before, At: morning, By: user}}))
	labtest.Must(t, f.Commit([]Change{{Kind: Free, Allocation: allocate(4).Allocation, At: morning, By: user}}))
	labtest.Must(t, f.Commit([]Change{{Kind: Expire, Allocation: moved, At: morning.Add(24 * time.Hour)}}))
	labtest.Must(t, f.Close())
	journal := `allocate lab 10.239.0.3 02:00:00:03:54:a8 name=web port=vnet3 expires=2026-03-03T08:00:00Z revision=1 at=2026-03-02T08:00:00Z uid=0 pid=4711
allocate lab 10.239.0.4 02:00:00:04:54:a8 revision=2 at=2026-03-02T08:00:00Z uid=0 pid=0
allocate lab 10.239.0.5 02:00:00:05:54:a8 revision=3 at=2026-03-02T08:00:00Z uid=0 pid=0
change lab 10.239.0.3 02:00:00:09:54:a8 name=web expires=2026-03-03T08:00:00Z revision=4 at=2026-03-02T08:00:00Z uid=1000 pid=4712 was-mac=02:00:00:03:54:a8 was-name=web was-port=vnet3 was-expires=2026-03-03T08:00:00Z
free lab 10.239.0.4 02:00:00:04:54:a8 revision=5 at=2026-03-02T08:00:00Z uid=1000 pid=4712
expire lab 10.239.0.3 02:00:00:09:54:a8 name=web expires=2026-03-03T08:00:00Z revision=6 at=2026-03-03T08:00:00Z
`
	allocations := `# The allocations of arpfabric. Edit this file only while arpfabric is stopped: docs/allocation.md.
revision 6
allocate lab 10.239.0.5 02:00:00:05:54:a8 revision=3
held lab 10.239.0.3 02:00:00:09:54:a8 at=2026-03-03T08:00:00Z
held lab 10.239.0.4 02:00:00:04:54:a8 at=2026-03-02T08:00:00Z
`
	if diff := cmp.Diff(journal, read(t, folder, "journal")); diff != "" {
		t.Errorf("journal (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(allocations, read(t, folder, "allocations")); diff != "" {
		t.Errorf("allocations (-want +got)\n%s", diff)
	}
	expectSame(t, f, openIn(t, folder))
}

// expectSame checks that a store that was opened again has what it had.
func expectSame(t *testing.T, before, after *File) {
	t.Helper()
	if diff := cmp.Diff(all(before), all(after), comparable); diff != "" {
		t.Errorf("opened again (-before +after)\n%s", diff)
	}
	for name, n := range before.table.networks {
		if diff := cmp.Diff(n.held, after.table.network(name).held, comparable); diff != "" {
			t.Errorf("held (-before +after)\n%s", diff)
		}
	}
}

var comparable = cmpopts.EquateComparable(addr(1))

func all(f *File) []Allocation {
	var list []Allocation
	for _, network := range f.Table().Networks() {
		for a := range f.Table().All(network) {
			list = append(list, a)
		}
	}
	return list
}

// TestHistory checks that the history has every change with its caller, also those before a restart.
func TestHistory(t *testing.T) {
	folder := t.TempDir()
	f := openIn(t, folder)
	before := web
	changes := []Change{
		{Kind: Allocate, Allocation: web, At: morning, By: Caller{0, 1}},
		{Kind: Modify, Allocation: web, Before: &before, At: morning, By: Caller{1000, 2}},
		{Kind: Expire, Allocation: web, At: morning},
	}
	labtest.Must(t, f.Commit(changes))
	labtest.Must(t, f.Close())
	f = openIn(t, folder)
	other := allocate(7)
	other.Network = "other"
	labtest.Must(t, f.Commit([]Change{other}))
	for _, tt := range []struct {
		query HistoryQuery
		want  []Change
	}{
		{HistoryQuery{Limit: 10}, append(changes, Change{})},
		{HistoryQuery{Network: "lab", Limit: 10}, changes},
		{HistoryQuery{Network: "lab", Limit: 2}, changes[1:]},
		{HistoryQuery{Before: 3, Limit: 1}, changes[1:2]},
		{HistoryQuery{Network: "none", Limit: 1}, nil},
	} {
		got, err := f.History(tt.query)
		labtest.Must(t, err)
		if len(got) == 4 {
			got[3] = Change{} // it is compared by its number only
		}
		if diff := cmp.Diff(tt.want, got, comparable, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%+v (-want +got)\n%s", tt.query, diff)
		}
	}
}

// TestHistoryIsBounded checks that the journals do not grow without end, and that the history then has the last changes.
func TestHistoryIsBounded(t *testing.T) {
	d := newMemoryDisk()
	f := openOn(t, d)
	for n := range 1000 {
		labtest.Must(t, f.Commit([]Change{allocate(n % 200)}))
		labtest.Must(t, f.Maintain())
	}
	for _, name := range []string{journalName, olderName} {
		if size := len(d.files[name].data); size > 2*smallLimit {
			t.Errorf("%s has %d bytes", name, size)
		}
	}
	got, err := f.History(HistoryQuery{Limit: 3})
	if err != nil || len(got) != 3 || got[2].Revision != 1000 || got[0].Revision != 998 {
		t.Errorf("history %v, %v", got, err)
	}
}

// TestEdited checks what an operator may write, and that mistakes are reported by file and line, have no effect, and
// stay in the file.
func TestEdited(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "allocations", `# A comment.
revision 7
allocate lab 10.239.0.3 02:00:00:03:54:a8 name=web port=vnet3 expires=2026-03-03T08:00:00Z revision=5

  allocate   lab 10.239.0.4	02-00-00-04-54-A8
alocate lab 10.239.0.5 02:00:00:05:54:a8
allocate lab 10.239.0.300 02:00:00:05:54:a8
allocate lab 10.239.0.5 02:00:00:05:54
allocate lab 10.239.0.5 ff:ff:ff:ff:ff:ff
allocate lab 127.0.0.1 02:00:00:05:54:a8
allocate lab 10.239.0.3 02:00:00:06:54:a8
allocate lab 10.239.0.6 02:00:00:06:54:a8 name=web
allocate lab 10.239.0.7 02:00:00:07:54:a8 expires=tomorrow
allocate lab 10.239.0.7 02:00:00:07:54:a8 mtu=9000
allocate lab 10.239.0.7 02:00:00:07:54:a8 name=10.239.0.9
free lab 10.239.0.3 02:00:00:03:54:a8
allocate lab
allocate lab 10.239.0.8 02:00:00:08:54:a8`) // without a newline
	f := openIn(t, folder)
	first := web
	first.Revision = 5
	second, last := allocate(4).Allocation, allocate(8).Allocation
	second.Revision, last.Revision = 7, 7
	if diff := cmp.Diff([]Allocation{first, second, last}, all(f), comparable); diff != "" {
		t.Errorf("allocations (-want +got)\n%s", diff)
	}
	var lines []string
	for _, p := range f.Problems() {
		lines = append(lines, strings.TrimPrefix(p, filepath.Join(folder, "allocations:")))
	}
	want := []string{
		`6: unknown word "alocate": a line begins with allocate or held`,
		`7: "10.239.0.300" is not an IPv4 address`,
		`8: "02:00:00:05:54" is not a MAC address; write six bytes, like 02:00:06:de:54:a8`,
		`9: ff:ff:ff:ff:ff:ff is not a unicast MAC (it is zero, broadcast or multicast)`,
		`10: no host can have the address 127.0.0.1`,
		`11: 10.239.0.3 is in the file twice`,
		`12: the name web has 10.239.0.3 already`,
		`13: "tomorrow" is not a value of expires`,
		`14: unknown key "mtu"`,
		`15: the name 10.239.0.9 would be taken for an address`,
		`16: free belongs into the journal: here, lines begin with allocate or held`,
		`17: "" is not an IPv4 address`,
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("problems (-want +got)\n%s", diff)
	}
	labtest.Must(t, f.Commit([]Change{allocate(9)}))
	labtest.Must(t, f.Close())
	if text := read(t, folder, "allocations"); !strings.Contains(text, "\nalocate lab 10.239.0.5 02:00:00:05:54:a8\n") {
		t.Errorf("a line with a mistake is lost:\n%s", text)
	}
}

// TestEditedWithoutRevision checks that an operator who deletes the first line loses no allocation of the journal.
func TestEditedWithoutRevision(t *testing.T) {
	folder := t.TempDir()
	f := openIn(t, folder)
	labtest.Must(t, f.Commit([]Change{allocate(3), allocate(4)}))
	labtest.Must(t, f.Close())
	write(t, folder, "allocations", "allocate lab 10.239.0.5 02:00:00:05:54:a8\n")
	if got := len(all(openIn(t, folder))); got != 3 {
		t.Errorf("%d allocations, want 3", got)
	}
}

// TestJournalWithMistakes checks that lines of a journal that a disk has damaged do not cost the others.
func TestJournalWithMistakes(t *testing.T) {
	folder := t.TempDir()
	good := string(appendChange(nil, Change{Kind: Allocate, Allocation: withRevision(allocate(3), 2), At: morning}))
	write(t, folder, "journal", "\x00\x00\x00\n"+good+"held lab 10.239.0.4 02:00:00:04:54:a8\nallocate lab 10.2")
	f := openIn(t, folder)
	if len(all(f)) != 1 || len(f.Problems()) != 2 {
		t.Errorf("allocations %v, problems %q", all(f), f.Problems())
	}
	labtest.Must(t, f.Commit([]Change{allocate(5)}))
	labtest.Must(t, f.Close())
	if f := openIn(t, folder); len(all(f)) != 2 {
		t.Errorf("after another change: %v", all(f))
	}
}

func withRevision(c Change, n uint64) Allocation {
	c.Revision = n
	return c.Allocation
}

func TestLock(t *testing.T) {
	folder := t.TempDir()
	f := openIn(t, folder)
	if _, err := Open(folder); err == nil || !strings.Contains(err.Error(), "another arpfabric uses the store in "+folder) {
		t.Errorf("opened twice: %v", err)
	}
	labtest.Must(t, f.Close())
	labtest.Must(t, openIn(t, folder).Commit([]Change{allocate(3)}))
}

// TestMissing checks that only the last folder of the path is made, so that a mount that is missing is noticed.
func TestMissing(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "a", "b")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// mount mounts a tmpfs, which the test unmounts at its end.
func mount(t *testing.T, flags uintptr, options string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	labtest.Must(t, unix.Mount("store", folder, "tmpfs", flags, options))
	t.Cleanup(func() { unix.Unmount(folder, unix.MNT_DETACH) })
	return folder
}

// TestReadOnly checks that the allocations of a read-only folder are read, and that changes fail with the cause.
func TestReadOnly(t *testing.T) {
	folder := mount(t, 0, "size=1m")
	f := openIn(t, folder)
	labtest.Must(t, f.Commit([]Change{allocate(3)}))
	labtest.Must(t, f.Close())
	labtest.Must(t, unix.Mount("", folder, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	f = openIn(t, folder)
	if len(all(f)) != 1 {
		t.Errorf("allocations %v", all(f))
	}
	if err := f.Commit([]Change{allocate(4)}); !errors.Is(err, unix.EROFS) || f.Writable() == nil {
		t.Errorf("error %v, %v", err, f.Writable())
	}
}

// TestFullDisk fills the disk. A change fails then, and works again when there is space; nothing is lost.
func TestFullDisk(t *testing.T) {
	folder := mount(t, 0, "size=64k")
	f := openIn(t, folder)
	n, err := 1, error(nil)
	for ; err == nil; n++ {
		err = f.Commit([]Change{allocate(n)})
	}
	if !errors.Is(err, unix.ENOSPC) || f.Writable() != nil {
		t.Fatalf("error %v, %v", err, f.Writable())
	}
	written := n - 2 // the last one failed
	if err := f.writeAllocations(); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("writing all allocations: error %v", err)
	}
	expectCount(t, f, written)
	labtest.Must(t, unix.Mount("", folder, "", unix.MS_REMOUNT, "size=256k"))
	labtest.Must(t, f.Commit([]Change{allocate(n)}))
	labtest.Must(t, f.Close())
	expectCount(t, openIn(t, folder), written+1)
}

func expectCount(t *testing.T, f *File, want int) {
	t.Helper()
	if got := f.Table().Len("lab"); got != want || len(f.Problems()) > 0 {
		t.Errorf("%d allocations, want %d; problems %q", got, want, f.Problems())
	}
}

// TestExpiry checks the order of expiries, and that renewals do not fill the memory.
func TestExpiry(t *testing.T) {
	f := openOn(t, newMemoryDisk())
	late, early := allocate(1), allocate(2)
	late.Expires, early.Expires = morning.Add(time.Hour), morning.Add(time.Minute)
	labtest.Must(t, f.Commit([]Change{late, early, allocate(3)}))
	if next := f.Table().NextExpiry(); !next.Equal(early.Expires) {
		t.Errorf("next expiry %v", next)
	}
	if got := f.Table().Expired(early.Expires.Add(-time.Second), 9); got != nil {
		t.Errorf("expired too early: %v", got)
	}
	for range 2 { // until they are freed
		if got := f.Table().Expired(late.Expires, 9); len(got) != 2 || got[0].Address != addr(2) {
			t.Errorf("expired: %v", got)
		}
	}
	if got := f.Table().Expired(late.Expires, 1); len(got) != 1 {
		t.Errorf("expired, at most one: %v", got)
	}
	for n := range 10_000 {
		late.Kind, late.Expires = Modify, morning.Add(time.Duration(n)*time.Hour)
		labtest.Must(t, f.Commit([]Change{late}))
	}
	if n := len(f.table.expiries); n > 100 {
		t.Errorf("%d expiries for two allocations", n)
	}
}

// BenchmarkOpen opens a store with a million allocations, as it is after a stop.
func BenchmarkOpen(b *testing.B) {
	folder := b.TempDir()
	f, err := Open(folder)
	if err != nil {
		b.Fatal(err)
	}
	for n := range 1_000_000 {
		a := Allocation{Network: "lab", MAC: macOf(n), Name: fmt.Sprint("host", n), Revision: 1}
		a.Address = netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
		f.table.set(a)
	}
	f.table.revision = 1
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		f, err := Open(folder)
		if err != nil || f.Table().Len("lab") != 1_000_000 {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func TestCheckName(t *testing.T) {
	for name, isValid := range map[string]bool{
		"a": true, "web-1.lab_x": true, "7": true, strings.Repeat("x", 63): true,
		"": false, "-a": false, "a-": false, "a b": false, "ä": false, "a\n": false, "a;b": false, strings.Repeat("x", 64): false,
		"10.239.0.1": false, "::1": false, "fe80::1": false,
	} {
		if err := CheckName(name); (err == nil) != isValid {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestForgetHeld checks that addresses are forgotten in the order in which they were freed, also after a restart, and
// that one that was freed again since stays.
func TestForgetHeld(t *testing.T) {
	folder := t.TempDir()
	f := openIn(t, folder)
	at := func(n, minute int) Change {
		c := free(n)
		c.At = morning.Add(time.Duration(minute) * time.Minute)
		return c
	}
	labtest.Must(t, f.Commit([]Change{allocate(1), allocate(2), allocate(3), at(3, 0), at(1, 1), at(2, 2), allocate(3), at(3, 3)}))
	labtest.Must(t, f.Close())
	f = openIn(t, folder)
	for minute, want := range []int{3, 2, 1, 0} {
		f.Table().ForgetHeld("lab", morning.Add(time.Duration(minute)*time.Minute))
		held := 0
		for n := range 4 {
			if _, ok := f.Table().Held("lab", addr(n)); ok {
				held++
			}
		}
		if held != want {
			t.Errorf("minute %d: %d addresses are held, want %d", minute, held, want)
		}
		if f.Table().HasMAC("lab", macOf(3)) != (want > 0) {
			t.Errorf("minute %d: the MAC of the last address is held: %v", minute, want == 0)
		}
	}
}

// TestFolderGone deletes and moves the files of a store that is open. No change that was acknowledged is lost, and no
// other file is replaced.
func TestFolderGone(t *testing.T) {
	for name, remove := range map[string]func(folder string) error{
		"deleted":         os.RemoveAll,
		"moved":           func(folder string) error { return os.Rename(folder, filepath.Join(t.TempDir(), "moved")) },
		"journal":         func(folder string) error { return os.Remove(filepath.Join(folder, "journal")) },
		"all allocations": func(folder string) error { return os.Remove(filepath.Join(folder, "allocations")) },
		"both": func(folder string) error {
			return errors.Join(os.Remove(filepath.Join(folder, "journal")), os.Remove(filepath.Join(folder, "allocations")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "store")
			f := openIn(t, folder)
			labtest.Must(t, f.Commit([]Change{allocate(3)}))
			labtest.Must(t, f.Close())
			f = openIn(t, folder)
			labtest.Must(t, f.Commit([]Change{allocate(4)}))
			remade := 0
			f.Remade = func() { remade++ }
			labtest.Must(t, remove(folder))
			labtest.Must(t, f.Commit([]Change{allocate(5), free(4)}))
			labtest.Must(t, f.Commit([]Change{allocate(6)}))
			killed := copyOf(t, folder)
			expectSame(t, f, openIn(t, killed))
			labtest.Must(t, remove(folder))
			labtest.Must(t, f.Maintain())
			expectSame(t, f, openIn(t, copyOf(t, folder)))
			_ = os.RemoveAll(folder)
			labtest.Must(t, f.Close())
			expectSame(t, f, openIn(t, folder))
			if remade != 3 {
				t.Errorf("remade %d times, want 3", remade)
			}
		})
	}
}

// TestFolderReplaced puts another store in the place of one that is open, and takes it away again.
func TestFolderReplaced(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "store")
	f := openIn(t, folder)
	labtest.Must(t, f.Commit([]Change{allocate(3)}))
	labtest.Must(t, os.Rename(folder, folder+".old"))
	other := openIn(t, folder)
	labtest.Must(t, other.Commit([]Change{allocate(7)}))
	labtest.Must(t, other.Close())
	if err := f.Commit([]Change{allocate(4)}); err == nil || !strings.Contains(err.Error(), "are not those that arpfabric has opened") {
		t.Errorf("error %v", err)
	}
	expectSame(t, other, openIn(t, copyOf(t, folder)))
	labtest.Must(t, os.Rename(folder, folder+".other"))
	labtest.Must(t, os.Rename(folder+".old", folder))
	labtest.Must(t, f.Commit([]Change{allocate(5)}))
	expectSame(t, f, openIn(t, copyOf(t, folder)))
	if got := all(f); len(got) != 2 || got[1].Revision != 2 {
		t.Errorf("allocations %v", got)
	}
}

// TestFolderCannotBeMade deletes the folder together with the one above it.
func TestFolderCannotBeMade(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "parent")
	labtest.Must(t, os.Mkdir(parent, 0o700))
	folder := filepath.Join(parent, "store")
	f := openIn(t, folder)
	labtest.Must(t, f.Commit([]Change{allocate(3)}))
	labtest.Must(t, os.RemoveAll(parent))
	for _, err := range []error{f.Commit([]Change{allocate(4)}), f.Maintain()} {
		if err == nil || !strings.Contains(err.Error(), "have been deleted or moved, and cannot be written again: making the folder") {
			t.Errorf("error %v", err)
		}
	}
	labtest.Must(t, os.Mkdir(parent, 0o700))
	labtest.Must(t, f.Commit([]Change{allocate(5)}))
	expectSame(t, f, openIn(t, copyOf(t, folder)))
}

// copyOf copies a store as a kill would leave it.
func copyOf(t *testing.T, folder string) string {
	t.Helper()
	to := t.TempDir()
	labtest.Must(t, os.CopyFS(to, os.DirFS(folder)))
	return to
}
