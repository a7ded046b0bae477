package reload

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/filewatch"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what must happen: emulated machines are slow.
const patience = 30 * time.Second

// yamlWith is a configuration with bindings for 10.239.0.1 to 10.239.0.n.
func yamlWith(n int, more ...string) string {
	text := "networks:\n  lab:\n    attach: {bridge: br0}\n    registry:\n"
	for i := range n {
		text += fmt.Sprintf("      10.239.0.%d: \"02:00:00:de:54:a8\"\n", i+1)
	}
	for _, line := range more {
		text += "    " + line + "\n"
	}
	return text
}

// A stage is a folder with a configuration and a Reloader that runs on it.
type stage struct {
	t       *testing.T
	dir     string
	path    string
	applied chan int // the number of bindings of each configuration that was applied
	signals chan os.Signal
	refuse  func(*config.Config) error
	watcher func() *filewatch.Watcher
	looks   atomic.Int32 // how often what the files hold was compared with what was read

	reloader *Reloader

	mu    sync.Mutex
	log   bytes.Buffer
	notes []string // when reloads began, and how they ended
}

func (s *stage) note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes = append(s.notes, text)
}

func (s *stage) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func newStage(t *testing.T) *stage {
	dir := t.TempDir()
	return &stage{
		t: t, dir: dir, path: filepath.Join(dir, "lab.yaml"),
		applied: make(chan int, 100), signals: make(chan os.Signal),
		refuse:  func(*config.Config) error { return nil },
		watcher: withoutPoll,
	}
}

// withoutPoll makes a watcher that hears of changes by the kernel's events alone.
func withoutPoll() *filewatch.Watcher {
	w := newWatcher()
	w.Poll = never
	return w
}

// never is longer than any test waits.
const never = 24 * time.Hour

// start loads the configuration and runs the Reloader until the test ends. When it returns, the first look is over: a
// later change has to be heard of.
func (s *stage) start() {
	s.t.Helper()
	loaded := time.Now()
	cfg, err := config.Load(s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(s, nil))
	r := New(log, cfg, loaded, func(_ context.Context, c *config.Config) error {
		if err := s.refuse(c); err != nil {
			return err
		}
		s.applied <- c.Networks[0].Registry.Len()
		return nil
	})
	r.Notify(func() { s.note("began") }, func(inForce *config.Config, err error) {
		s.note(fmt.Sprintf("ended with %d bindings, refused %t", inForce.Networks[0].Registry.Len(), err != nil))
	})
	r.newWatcher = s.newWatcher
	s.reloader = r
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); r.Run(ctx, s.signals) }()
	s.t.Cleanup(func() { cancel(); <-ended })
	labtest.Eventually(s.t, "the first look", func() bool { return s.looks.Load() > 0 })
}

func (s *stage) newWatcher() *filewatch.Watcher {
	w := s.watcher()
	w.Digest = func(files []string) [sha256.Size]byte {
		defer s.looks.Add(1)
		return config.Digest(files)
	}
	return w
}

func (s *stage) write(name, text string) {
	s.t.Helper()
	labtest.Write(s.t, filepath.Join(s.dir, name), text)
}

func (s *stage) rename(from, to string) {
	s.t.Helper()
	if err := os.Rename(filepath.Join(s.dir, from), filepath.Join(s.dir, to)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) link(target, name string) {
	s.t.Helper()
	if err := os.Symlink(target, filepath.Join(s.dir, name)); err != nil {
		s.t.Fatal(err)
	}
}

// expect waits until a configuration with n bindings is applied. Others may be applied before: a burst that
// pauses is two.
func (s *stage) expect(n int) {
	s.t.Helper()
	for deadline := time.After(patience); ; {
		select {
		case got := <-s.applied:
			if got == n {
				return
			}
		case <-deadline:
			s.t.Fatalf("no configuration with %d bindings was applied in %v; the log:\n%s", n, patience, s.logged())
		}
	}
}

// expectLog waits until the log contains text.
func (s *stage) expectLog(text string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(s.logged(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%q is not in the log after %v:\n%s", text, patience, s.logged())
		}
	}
}

// expectNote waits for a note.
func (s *stage) expectNote(text string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !slices.Contains(s.noted(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%q is not noted after %v: %q", text, patience, s.noted())
		}
	}
}

func (s *stage) noted() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.notes)
}

func (s *stage) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

func TestFileWrittenInPlace(t *testing.T) {
	s := newStage(t)
	s.write("lab.yaml", yamlWith(1))
	s.start()
	for n := 2; n < 5; n++ {
		s.write("lab.yaml", yamlWith(n))
		s.expect(n)
	}
}

func TestFileRenamedOver(t *testing.T) {
	s := newStage(t)
	s.write("lab.yaml", yamlWith(1))
	s.start()
	s.write("lab.yaml.new", yamlWith(2))
	s.rename("lab.yaml.new", "lab.yaml")
	s.expect(2)
}

func TestRegistryFile(t *testing.T) {
	s := newStage(t)
	s.write("more.ethers", "02:00:00:de:54:a8 10.239.1.1\n")
	s.write("lab.yaml", yamlWith(1, "registry_files: [more.ethers]"))
	s.start()
	s.write("more.ethers", "02:00:00:de:54:a8 10.239.1.1\n02:00:00:de:54:a8 10.239.1.2\n")
	s.expect(3)
}

// TestRegistryDir adds a file to a folder, at first an empty one, and removes it.
func TestRegistryDir(t *testing.T) {
	s := newStage(t)
	if err := os.Mkdir(filepath.Join(s.dir, "conf.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.write("lab.yaml", yamlWith(1, "registry_dir: conf.d"))
	s.start()
	s.write("conf.d/more", "02:00:00:de:54:a8 10.239.1.1\n")
	s.expect(2)
	s.write("conf.d/more", "02:00:00:de:54:a8 10.239.1.1\n02:00:00:de:54:a8 10.239.1.2\n")
	s.expect(3)
	if err := os.Remove(filepath.Join(s.dir, "conf.d/more")); err != nil {
		t.Fatal(err)
	}
	s.expect(1)
}

// TestReload asks for reloads and for how they went.
func TestReload(t *testing.T) {
	s := newStage(t)
	s.write("lab.yaml", yamlWith(1))
	s.start()
	first := s.reloader.Status()
	if first.Generation != 1 || first.Failures != 0 || first.LastError != nil || !slices.Equal(first.Files, []string{s.path}) {
		t.Errorf("at the start: %+v", first)
	}

	s.refuse = func(*config.Config) error { return errors.New("there is no bridge br0") }
	err := s.reloader.Reload(t.Context())
	if err == nil || err.Error() != "there is no bridge br0" {
		t.Errorf("error %v", err)
	}
	failed := s.reloader.Status()
	if failed.Generation != 1 || failed.Failures != 1 || failed.LastError == nil || failed.FailedAt.Before(first.Loaded) || failed.Loaded != first.Loaded {
		t.Errorf("after a failure: %+v", failed)
	}

	s.refuse = func(*config.Config) error { return nil }
	if err := s.reloader.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.expect(1)
	now := s.reloader.Status()
	if now.Generation != 2 || now.Failures != 1 || now.LastError != nil || !now.FailedAt.IsZero() || !now.Loaded.After(first.Loaded) {
		t.Errorf("after a reload: %+v", now)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.reloader.Reload(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("when nobody waits: %v", err)
	}
}

func TestRegistryFileNamedByAReload(t *testing.T) {
	s := newStage(t)
	s.write("lab.yaml", yamlWith(1))
	s.start()
	if err := os.Mkdir(filepath.Join(s.dir, "elsewhere"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.write("elsewhere/more.ethers", "02:00:00:de:54:a8 10.239.1.1\n")
	s.write("lab.yaml", yamlWith(1, "registry_files: [elsewhere/more.ethers]"))
	s.expect(2)
	s.write("elsewhere/more.ethers", "02:00:00:de:54:a8 10.239.1.1\n02:00:00:de:54:a8 10.239.1.2\n")
	s.expect(3)
}

// TestRegistryFileIsRepaired names a file by a reload that is refused because of it, and repairs nothing but that file.
func TestRegistryFileIsRepaired(t *testing.T) {
	const good = "02:00:00:de:54:a8 10.239.1.1\n"
	tests := []struct {
		name, file string
		prepare    func(*stage)
	}{
		{"a line is bad", "new.ethers", func(s *stage) { s.write("new.ethers", good+"02:00:00:de:54:a8\n") }},
		{"it is not there", "new.ethers", func(*stage) {}},
		{"its folder is not there", "new/new.ethers", func(*stage) {}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			s.write("lab.yaml", yamlWith(1))
			tt.prepare(s)
			s.start()
			s.write("next", yamlWith(1, "registry_files: ["+tt.file+"]"))
			s.rename("next", "lab.yaml")
			s.expectNote("ended with 1 bindings, refused true")
			if files := s.reloader.Status().Files; !slices.Equal(files, []string{s.path}) {
				t.Errorf("what is in force is from %q", files)
			}
			if err := os.MkdirAll(filepath.Dir(filepath.Join(s.dir, tt.file)), 0o755); err != nil {
				t.Fatal(err)
			}
			s.write("next", good)
			s.rename("next", tt.file)
			s.expect(2)
			s.expectNote("ended with 2 bindings, refused false")
			if n := s.reloader.Status().Failures; n != 1 {
				t.Errorf("%d reloads failed, want one:\n%s", n, s.logged())
			}
			s.write("next", good+"02:00:00:de:54:a8 10.239.1.2\n")
			s.rename("next", tt.file)
			s.expect(3)
		})
	}
}

// TestKubernetes swaps the files of a mounted ConfigMap as the kubelet does: the file is a symbolic link
// into ..data, which is one into a folder with a time in its name.
func TestKubernetes(t *testing.T) {
	s := newStage(t)
	mount := func(folder string, n int) {
		if err := os.Mkdir(filepath.Join(s.dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
		s.write(folder+"/lab.yaml", yamlWith(n))
		s.link(folder, "..data_tmp")
		s.rename("..data_tmp", "..data")
	}
	mount("..2026_01", 1)
	s.link("..data/lab.yaml", "lab.yaml")
	s.start()
	mount("..2026_02", 2)
	if err := os.RemoveAll(filepath.Join(s.dir, "..2026_01")); err != nil {
		t.Fatal(err)
	}
	s.expect(2)
	mount("..2026_03", 3)
	s.expect(3)
}

func TestLinkToAnotherFolder(t *testing.T) {
	s := newStage(t)
	if err := os.Mkdir(filepath.Join(s.dir, "elsewhere"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.write("elsewhere/lab.yaml", yamlWith(1))
	s.link("elsewhere/lab.yaml", "lab.yaml")
	s.start()
	s.write("elsewhere/lab.yaml", yamlWith(2))
	s.expect(2)
}

// TestLinkToTheSameElsewhere sets a link to another file with the same content, which is no reload, and changes that
// file.
func TestLinkToTheSameElsewhere(t *testing.T) {
	s := newStage(t)
	for _, folder := range []string{"one", "two"} {
		if err := os.Mkdir(filepath.Join(s.dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
		s.write(folder+"/lab.yaml", yamlWith(1))
	}
	s.link("one/lab.yaml", "lab.yaml")
	w := withoutPoll()
	if w.Folders() == nil {
		t.Fatal("there are no events")
	}
	s.watcher = func() *filewatch.Watcher { return w }
	s.start()
	s.link("two/lab.yaml", "next")
	s.rename("next", "lab.yaml")
	labtest.Eventually(t, "the other folder is watched", func() bool {
		return slices.Contains(w.Folders(), filepath.Join(s.dir, "two"))
	})
	s.write("two/lab.yaml", yamlWith(2))
	s.expect(2)
	s.expectNote("ended with 2 bindings, refused false") // the status counts a reload after it is applied
	if n := s.reloader.Status().Generation; len(s.applied) > 0 || n != 2 {
		t.Errorf("generation %d, want 2: reloaded more than once\n%s", n, s.logged())
	}
}

func TestBadFileChangesNothing(t *testing.T) {
	s := newStage(t)
	s.write("lab.yaml", yamlWith(1))
	s.start()
	s.write("lab.yaml", yamlWith(2)[:60])
	s.expectLog("could not be reloaded; the one before stays in force")
	s.write("lab.yaml", "")
	s.expectLog("the file is empty")
	if err := os.Remove(s.path); err != nil {
		t.Fatal(err)
	}
	s.expectLog("no such file")
	if len(s.applied) > 0 {
		t.Errorf("a bad configuration was applied: %d bindings", <-s.applied)
	}
	s.write("lab.yaml", yamlWith(3))
	s.expect(3)
}

func refuseTwoBindings(c *config.Config) error {
	if c.Networks[0].Registry.Len() == 2 {
		return errors.New("there is no bridge br7")
	}
	return nil
}

func TestRefusedConfigurationIsTriedAgain(t *testing.T) {
	s := newStage(t)
	s.refuse = refuseTwoBindings
	s.write("lab.yaml", yamlWith(1))
	s.start()
	s.write("lab.yaml", yamlWith(2))
	s.expectLog("there is no bridge br7")
	s.write("lab.yaml", yamlWith(3))
	s.expect(3)
}

func TestSignal(t *testing.T) {
	s := newStage(t)
	s.write("lab.yaml", yamlWith(1))
	s.start()
	s.signals <- unix.SIGHUP
	s.expect(1)
	s.signals <- unix.SIGHUP
	s.expect(1)
}

func TestBeginningAndEndAreTold(t *testing.T) {
	s := newStage(t)
	s.refuse = refuseTwoBindings
	s.write("lab.yaml", yamlWith(1))
	s.start()
	for _, content := range []string{yamlWith(2), "", yamlWith(3)} {
		s.write("lab.yaml.new", content)
		s.rename("lab.yaml.new", "lab.yaml")
		s.signals <- unix.SIGHUP
	}
	s.expect(3)
	s.expectNote("ended with 3 bindings, refused false")
	notes := s.noted()
	for i, note := range notes {
		if (note == "began") != (i%2 == 0) {
			t.Errorf("not in turn: %q", notes)
		}
	}
	if !slices.Contains(notes, "ended with 1 bindings, refused true") {
		t.Errorf("nothing was refused: %q", notes)
	}
}

func TestOtherFilesInTheFolderDontMatter(t *testing.T) {
	s := newStage(t)
	s.write("lab.yaml", yamlWith(1))
	s.start()
	s.write("notes.txt", "x")
	s.write(".lab.yaml.swp", "x")
	s.write("lab.yaml", yamlWith(2))
	select {
	case got := <-s.applied:
		if got != 2 {
			t.Errorf("a configuration with %d bindings was applied first", got)
		}
	case <-time.After(patience):
		t.Errorf("nothing was applied in %v", patience)
	}
}

func TestFolderDeletedAndMadeAnew(t *testing.T) {
	s := newStage(t)
	s.watcher = func() *filewatch.Watcher { // no event says that a folder is made
		w := newWatcher()
		w.Poll = quiet
		return w
	}
	s.dir = filepath.Join(s.dir, "sub")
	s.path = filepath.Join(s.dir, "lab.yaml")
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s.write("lab.yaml", yamlWith(1))
	s.start()
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	s.expectLog("no such file")
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s.write("lab.yaml", yamlWith(2))
	s.expect(2)
}

// TestWrittenWhileLoading writes between the load and the first look. What is as long as before may have the same time,
// too.
func TestWrittenWhileLoading(t *testing.T) {
	addr := netip.MustParseAddr("10.239.0.2")
	tests := []struct{ name, text string }{
		{"more", yamlWith(2)},
		{"as much", strings.Replace(yamlWith(1), "10.239.0.1", addr.String(), 1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			s.write("lab.yaml", yamlWith(1))
			cfg, err := config.Load(s.path)
			if err != nil {
				t.Fatal(err)
			}
			s.write("lab.yaml", tt.text)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			applied := false
			r := New(slog.New(slog.DiscardHandler), cfg, time.Now(), func(_ context.Context, c *config.Config) error {
				if _, applied = c.Networks[0].Registry.Lookup(addr); !applied {
					t.Errorf("what was applied has no %s", addr)
				}
				cancel()
				return nil
			})
			r.newWatcher = withoutPoll
			r.Run(ctx, nil)
			if !applied {
				t.Errorf("nothing was applied in %v", patience)
			}
		})
	}
}
