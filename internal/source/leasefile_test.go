package source

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/importer"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// A stage is a folder with files of leases, and a Source that follows them.
type stage struct {
	*Source
	t       *testing.T
	dir     string
	changes chan struct{}
}

// begin follows a source whose file has a text.
func begin(t *testing.T, kind config.SourceKind, text string) *stage {
	t.Helper()
	s := &stage{t: t, dir: t.TempDir(), changes: make(chan struct{}, 100)}
	s.write("leases", text)
	s.Source = Open(t.Context(), config.Source{Kind: kind, Of: filepath.Join(s.dir, "leases")}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); s.Run(ctx, func() { s.changes <- struct{}{} }) }()
	t.Cleanup(func() { cancel(); <-ended })
	return s
}

func (s *stage) write(name, text string) {
	s.t.Helper()
	labtest.Write(s.t, filepath.Join(s.dir, name), text)
}

func (s *stage) rename(from, to string) {
	s.t.Helper()
	labtest.Must(s.t, os.Rename(filepath.Join(s.dir, from), filepath.Join(s.dir, to)))
}

// has returns the source's bindings, and its error.
func (s *stage) has() string {
	state := s.State()
	var words []string
	for _, l := range state.Leases {
		words = append(words, fmt.Sprintf("%s=%s", l.First, l.MAC))
	}
	if state.Err != nil {
		words = append(words, "error: "+strings.ReplaceAll(state.Err.Error(), s.dir+"/", ""))
	}
	return strings.Join(words, " ")
}

// expect waits until the source has these bindings.
func (s *stage) expect(want string) {
	s.t.Helper()
	labtest.Eventually(s.t, fmt.Sprintf("%q, not %q", want, s.has()), func() bool { return s.has() == want })
}

const (
	web, db        = "10.239.0.101=02:00:06:de:54:a8", "10.239.0.102=02:00:07:de:54:a8"
	webMAC, dbMAC  = "02:00:06:de:54:a8", "02:00:07:de:54:a8"
	longAgo, never = 1, 0
)

// dnsmasq is a line of dnsmasq's leases.
func dnsmasq(until int64, mac, addr string) string {
	return fmt.Sprintf("%d %s %s * *\n", until, mac, addr)
}

// lease is one that lasts.
func lease(t *testing.T, mac, addr string) importer.Lease {
	t.Helper()
	m, err := registry.ParseMAC(mac)
	labtest.Must(t, err)
	a := netip.MustParseAddr(addr)
	return importer.Lease{Binding: registry.Binding{First: a, Last: a, MAC: m}}
}

// inAnHour is when most leases end.
func inAnHour() int64 { return time.Now().Add(time.Hour).Unix() }

// TestLeasesChange gives, moves and ends leases.
func TestLeasesChange(t *testing.T) {
	s := begin(t, config.DnsmasqLeases, dnsmasq(inAnHour(), webMAC, "10.239.0.101"))
	if got := s.has(); got != web {
		t.Fatalf("at the start %q", got)
	}
	s.write("leases", dnsmasq(inAnHour(), webMAC, "10.239.0.101")+dnsmasq(never, dbMAC, "10.239.0.102"))
	s.expect(web + " " + db)
	<-s.changes
	s.write("leases", dnsmasq(inAnHour(), dbMAC, "10.239.0.101"))
	s.expect("10.239.0.101=" + dbMAC)
	s.write("next", dnsmasq(inAnHour(), webMAC, "10.239.0.101"))
	s.rename("next", "leases")
	s.expect(web)
	s.write("leases", dnsmasq(longAgo, webMAC, "10.239.0.101"))
	s.expect("")
}

// TestLeaseEnds by itself: nobody writes the file.
func TestLeaseEnds(t *testing.T) {
	s := begin(t, config.DnsmasqLeases, dnsmasq(time.Now().Unix()+2, webMAC, "10.239.0.101")+dnsmasq(inAnHour(), dbMAC, "10.239.0.102"))
	s.expect(db)
	<-s.changes
}

// TestFailuresLeaveWhatWasKnown breaks the file in each way. Its leases stay until they end, and then it is repaired.
func TestFailuresLeaveWhatWasKnown(t *testing.T) {
	for name, tt := range map[string]struct {
		breakIt func(s *stage)
		want    string
	}{
		"vanished":       {func(s *stage) { labtest.Must(s.t, os.Remove(s.Of)) }, "leases: no such file or directory"},
		"empty":          {func(s *stage) { s.write("leases", "") }, "the file is empty, and a server that can't write it leaves it so"},
		"half-written":   {func(s *stage) { s.write("leases", "1798761600 02:00:06") }, "leases: the last line is not complete: the file is being written, or its file system is full"},
		"a folder":       {func(s *stage) { s.rename("leases", "old"); labtest.Must(s.t, os.Mkdir(s.Of, 0o755)) }, "leases: not a regular file"},
		"another format": {func(s *stage) { s.write("leases", "<network>\n") }, "leases:1: want an expiry time, a MAC, an address and a name, as in 1767225600 02:00:06:de:54:a8 10.239.0.101 web *"},
		"binary":         {func(s *stage) { s.write("leases", "1 2 3 \x00 4\n") }, "leases: it is binary, and all formats are text"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each waits for the end of a lease
			s := begin(t, config.DnsmasqLeases, dnsmasq(inAnHour(), webMAC, "10.239.0.101")+dnsmasq(time.Now().Unix()+3, dbMAC, "10.239.0.102"))
			tt.breakIt(s)
			s.expect(strings.Join([]string{web, "error:", tt.want}, " ")) // the other lease has ended meanwhile
			if state := s.State(); state.FailedAt.IsZero() || state.Read.IsZero() {
				t.Errorf("state %+v", state)
			}
			labtest.Must(t, os.RemoveAll(s.Of))
			s.write("next", dnsmasq(inAnHour(), dbMAC, "10.239.0.102"))
			s.rename("next", "leases")
			s.expect(db)
			if state := s.State(); !state.FailedAt.IsZero() {
				t.Errorf("state %+v", state)
			}
		})
	}
}

// TestEmptyAtFirst is how a server begins.
func TestEmptyAtFirst(t *testing.T) {
	s := begin(t, config.DnsmasqLeases, "")
	if state := s.State(); state.Err != nil || state.Read.IsZero() {
		t.Errorf("state %+v", state)
	}
	s.write("leases", dnsmasq(inAnHour(), webMAC, "10.239.0.101"))
	s.expect(web)
}

// TestEmptyAtLast has a file that dnsmasq leaves when the last lease was given back, or when it can't write. Then it tries
// again each minute.
func TestEmptyAtLast(t *testing.T) {
	for kind, counts := range map[config.SourceKind]bool{config.DnsmasqLeases: true, config.LibvirtStatus: false} {
		path := labtest.TempFile(t, "leases", map[config.SourceKind]string{
			config.DnsmasqLeases: dnsmasq(inAnHour(), webMAC, "10.239.0.101"),
			config.LibvirtStatus: fmt.Sprintf(`[{"ip-address": "10.239.0.101", "mac-address": %q}]`, webMAC),
		}[kind])
		s := &stage{t: t, dir: filepath.Dir(path)}
		s.Source = Open(t.Context(), config.Source{Kind: kind, Of: path}, slog.New(slog.DiscardHandler))
		defer s.Close()
		s.write("leases", "")
		for age, isGone := range map[time.Duration]bool{time.Second: false, 2 * time.Minute: false, 4 * time.Minute: counts} {
			at := time.Now().Add(-age)
			labtest.Must(t, os.Chtimes(path, at, at))
			s.state.Leases = []importer.Lease{lease(t, webMAC, "10.239.0.101")}
			s.read(t.Context())
			want := web + " error: the file is empty, and a server that can't write it leaves it so"
			if isGone {
				want = ""
			}
			if got := s.has(); got != want {
				t.Errorf("%s, untouched for %s: %q, want %q", kind, age, got, want)
			}
		}
		ends := make(chan time.Time, 1)
		ends <- time.Now()
		if again, err := s.follow.wait(t.Context(), ends); !again || err != nil {
			t.Errorf("it is not read again: %t, %v", again, err)
		}
	}
}

// TestFileComesLater follows a file in a folder that is not there yet.
func TestFileComesLater(t *testing.T) {
	s := begin(t, config.DnsmasqLeases, "")
	later := &stage{t: t, dir: filepath.Join(s.dir, "misc")}
	later.Source = Open(t.Context(), config.Source{Kind: config.DnsmasqLeases, Of: filepath.Join(later.dir, "leases")}, slog.New(slog.DiscardHandler))
	later.follow.(*leaseFile).watcher.Poll = 50 * time.Millisecond // no event says that a folder is made
	if got := later.has(); got != "error: leases: no such file or directory" {
		t.Errorf("at the start %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); later.Run(ctx, func() {}) }()
	defer func() { cancel(); <-ended }()
	labtest.Must(t, os.Mkdir(later.dir, 0o755))
	later.write("leases", dnsmasq(inAnHour(), webMAC, "10.239.0.101"))
	later.expect(web)
}

// TestKeaRotates moves files as kea-lfc(8) does. No lease is missing after any step.
func TestKeaRotates(t *testing.T) {
	const header = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context\n"
	lease := func(addr, mac string) string {
		return fmt.Sprintf("%s,%s,,3600,%d,1,0,0,,0,\n", addr, mac, inAnHour())
	}
	s := begin(t, config.KeaLeases, header+lease("10.239.0.101", webMAC)+lease("10.239.0.102", dbMAC))
	const all = web + " " + db
	steps := []func(){
		func() { s.rename("leases", "leases.1") },
		func() { s.write("leases", header) },
		func() { s.write("leases.output", header+lease("10.239.0.101", webMAC)+lease("10.239.0.102", dbMAC)) },
		func() { s.rename("leases.output", "leases.completed") },
		func() { labtest.Must(t, os.Remove(filepath.Join(s.dir, "leases.1"))) },
		func() { s.rename("leases.completed", "leases.2") },
	}
	for i, step := range steps {
		step()
		s.write("leases", readOr(s.Of, header)+lease(fmt.Sprintf("10.239.0.%d", 110+i), fmt.Sprintf("02:00:0a:de:54:0%d", i)))
		labtest.Eventually(t, fmt.Sprintf("the lease after step %d", i), func() bool {
			return strings.Contains(s.has(), fmt.Sprintf("10.239.0.%d", 110+i))
		})
		if got := s.has(); !strings.HasPrefix(got, all) {
			t.Fatalf("after step %d: %s", i, got)
		}
	}
	// A newer lease moves the address.
	s.write("leases", readOr(s.Of, header)+lease("10.239.0.101", dbMAC))
	labtest.Eventually(t, "the move", func() bool { return strings.HasPrefix(s.has(), "10.239.0.101="+dbMAC) })
}

// readOr returns the content of a file, or what it would begin with.
func readOr(path, otherwise string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return otherwise
	}
	return string(data)
}

// TestLeaseIsRenewed: the binding stays, and lasts longer.
func TestLeaseIsRenewed(t *testing.T) {
	s := begin(t, config.DnsmasqLeases, dnsmasq(time.Now().Unix()+3, webMAC, "10.239.0.101"))
	end := inAnHour()
	s.write("leases", dnsmasq(end, webMAC, "10.239.0.101"))
	labtest.Eventually(t, "the new end", func() bool {
		all := s.State().Leases
		if len(all) != 1 {
			t.Fatal("the binding is gone")
		}
		return all[0].Expires.Unix() == end
	})
}
