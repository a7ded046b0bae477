package reload_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/reload"
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

	mu  sync.Mutex
	log bytes.Buffer
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
		refuse: func(*config.Config) error { return nil },
	}
}

// start loads the configuration and runs the Reloader until the test ends.
func (s *stage) start() {
	s.t.Helper()
	loaded := time.Now()
	cfg, err := config.Load(s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	r := reload.Reloader{
		Log: slog.New(slog.NewTextHandler(s, nil)),
		Apply: func(_ context.Context, c *config.Config) error {
			if err := s.refuse(c); err != nil {
				return err
			}
			s.applied <- c.Networks[0].Registry.Len()
			return nil
		},
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); r.Run(ctx, cfg, loaded, s.signals) }()
	s.t.Cleanup(func() { cancel(); <-ended })
}

func (s *stage) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
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

func TestRefusedConfigurationIsTriedAgain(t *testing.T) {
	s := newStage(t)
	s.refuse = func(c *config.Config) error {
		if c.Networks[0].Registry.Len() == 2 {
			return errors.New("there is no bridge br7")
		}
		return nil
	}
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

func TestOtherFilesInTheFolderDontMatter(t *testing.T) {
	s := newStage(t)
	s.write("lab.yaml", yamlWith(1))
	// Let the clock tick, so that the file doesn't count as written after it was read.
	time.Sleep(50 * time.Millisecond)
	s.start()
	s.write("notes.txt", "x")
	s.write(".lab.yaml.swp", "x")
	s.write("lab.yaml", yamlWith(2))
	if got := <-s.applied; got != 2 {
		t.Errorf("a configuration with %d bindings was applied first", got)
	}
}

func TestFolderDeletedAndMadeAnew(t *testing.T) {
	s := newStage(t)
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

// TestWrittenWhileLoading writes between the load and the first look.
func TestWrittenWhileLoading(t *testing.T) {
	s := newStage(t)
	s.write("lab.yaml", yamlWith(1))
	loaded := time.Now()
	cfg, err := config.Load(s.path)
	if err != nil {
		t.Fatal(err)
	}
	s.write("lab.yaml", yamlWith(2))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := reload.Reloader{Log: slog.New(slog.DiscardHandler), Apply: func(_ context.Context, c *config.Config) error {
		if n := c.Networks[0].Registry.Len(); n != 2 {
			t.Errorf("%d bindings, want 2", n)
		}
		cancel()
		return nil
	}}
	r.Run(ctx, cfg, loaded, nil)
}
