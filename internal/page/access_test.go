package page

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

const token = "0123456789abcdef0123456789abcdef"

// request returns a request with headers, each "Name: value".
func request(method, path, host string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, path, nil)
	r.Host = host
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	return r
}

// asker returns a function that asks a page with a token, "" for none.
func asker(t *testing.T, token string) func(*http.Request) *httptest.ResponseRecorder {
	h := handler(token, api.NewServer(newFake(t)).ReadOnly())
	return func(r *http.Request) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
}

// TestHost checks that a page without a token answers only under names of this machine: another site's name for a
// loopback address (DNS rebinding) makes the browser take the page for a page of the site.
func TestHost(t *testing.T) {
	ask := asker(t, "")
	for host, want := range map[string]int{
		"127.0.0.1:9643": 200, "localhost:9643": 200, "LOCALHOST": 200, "[::1]:9643": 200, "[::1]": 200, "127.1.2.3": 200,
		"attacker.example:9643": 403, "localhost.attacker.example": 403, "127.0.0.1.attacker.example:9643": 403,
		"192.0.2.1:9643": 403, "": 403, "[::2]:9643": 403, "localhost:9643:9643": 403,
	} {
		for _, path := range []string{"/", "/main.js", "/v1/status"} {
			if w := ask(request("GET", path, host)); w.Code != want {
				t.Errorf("%s of %q: status %d, want %d", path, host, w.Code, want)
			}
		}
	}
}

// TestOrigin checks that the page answers to no request that a page of another origin made the browser send.
func TestOrigin(t *testing.T) {
	const host = "127.0.0.1:9643"
	open, locked := asker(t, ""), asker(t, token)
	for _, tt := range []struct {
		method, path string
		headers      []string
		want         int
	}{
		{"GET", "/v1/status", []string{"Origin: http://" + host}, 200},
		{"GET", "/v1/status", []string{"Sec-Fetch-Site: same-origin"}, 200},
		{"GET", "/v1/status", []string{"Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate"}, 200},
		{"GET", "/", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"}, 200}, // a link

		{"GET", "/v1/status", []string{"Origin: http://attacker.example"}, 403},
		{"GET", "/v1/status", []string{"Origin: http://127.0.0.1:80"}, 403},
		{"GET", "/v1/status", []string{"Origin: null"}, 403},
		{"GET", "/v1/status", []string{"Origin: http://" + host, "Sec-Fetch-Site: cross-site"}, 403},
		{"GET", "/v1/events", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"}, 403},
		{"GET", "/v1/events", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"}, 403},
		{"GET", "/v1/status", []string{"Sec-Fetch-Site: same-site"}, 403},
		{"GET", "/", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"}, 403},
		{"POST", "/v1/explanation", []string{"Origin: http://attacker.example"}, 403},
		{"POST", "/", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"}, 403},
	} {
		r := request(tt.method, tt.path, host, tt.headers...)
		r.SetBasicAuth("", token)
		for _, w := range []*httptest.ResponseRecorder{open(r), locked(r)} {
			if w.Code != tt.want {
				t.Errorf("%s %s with %q: status %d, want %d", tt.method, tt.path, tt.headers, w.Code, tt.want)
			}
		}
	}
}

// TestToken checks that a page with a token gives nothing without it, under any name.
func TestToken(t *testing.T) {
	ask := asker(t, token)
	for _, tt := range []struct {
		user, password string
		want           int
	}{
		{"", token, 200}, {"me", token, 200}, {"", "", 401}, {token, "", 401}, {"", token[1:], 401}, {"", token + "0", 401},
		{"", strings.ToUpper(token), 401},
	} {
		for _, path := range []string{"/", "/main.js", "/v1/status", "/none"} {
			r := request("GET", path, "hypervisor.example:9643")
			r.SetBasicAuth(tt.user, tt.password)
			w := ask(r)
			if want := tt.want; w.Code != want && !(path == "/none" && want == 200 && w.Code == 404) {
				t.Errorf("%s with %q and %q: status %d, want %d", path, tt.user, tt.password, w.Code, want)
			}
			if asks := w.Header().Get("WWW-Authenticate") != ""; asks != (w.Code == 401) {
				t.Errorf("%s with %q and %q: asks for the token: %v", path, tt.user, tt.password, asks)
			}
		}
	}
	if w := ask(request("GET", "/v1/status", "localhost:9643", "Authorization: Bearer "+token)); w.Code != 401 {
		t.Errorf("not by Basic: status %d, want 401", w.Code)
	}
}

// TestNothingChanges checks that the operations of the API that change something are not there.
func TestNothingChanges(t *testing.T) {
	ask := asker(t, "")
	for _, tt := range []struct{ method, path string }{
		{"POST", "/v1/reload"}, {"POST", "/v1/violations/clear"}, {"POST", "/v1/networks/lab/bindings"},
		{"PUT", "/v1/networks/lab/bindings/10.239.0.9"}, {"DELETE", "/v1/networks/lab/bindings/10.239.0.9"},
		{"POST", "/"}, {"PUT", "/index.html"},
	} {
		if w := ask(request(tt.method, tt.path, "localhost")); w.Code != http.StatusNotFound && w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s %s: status %d", tt.method, tt.path, w.Code)
		}
	}
}

// TestHeaders checks that every answer, also a refusal, has the headers that keep other pages and scripts out.
func TestHeaders(t *testing.T) {
	ask := asker(t, "")
	for _, tt := range []struct{ path, host, media string }{
		{"/", "localhost", "text/html; charset=utf-8"},
		{"/main.js", "localhost", "text/javascript; charset=utf-8"},
		{"/style.css", "localhost", "text/css; charset=utf-8"},
		{"/icon.svg", "localhost", "image/svg+xml"},
		{"/v1/status", "localhost", "application/json"},
		{"/v1/none", "localhost", "application/problem+json"},
		{"/", "attacker.example", "text/plain; charset=utf-8"},
	} {
		h := ask(request("GET", tt.path, tt.host)).Header()
		for name, want := range map[string]string{
			"Content-Type": tt.media, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", tt.path, name, got, want)
			}
		}
		policy := h.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: Content-Security-Policy is %q", tt.path, policy)
		}
	}
}

var elsewhere = regexp.MustCompile(`(?i)(?:https?:)?//[a-z0-9]|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(`)

// TestFilesAreEnough checks that the files of the page load nothing from elsewhere, and make no HTML from text.
func TestFilesAreEnough(t *testing.T) {
	labtest.Must(t, fs.WalkDir(static, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := static.ReadFile(path)
		for _, found := range elsewhere.FindAllString(string(text), -1) {
			if path != "static/icon.svg" { // the name of its format
				t.Errorf("%s has %s", path, found)
			}
		}
		return err
	}))
}

func TestReadToken(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		mode       os.FileMode
		want       string // the token, or a part of the error
	}{
		{"good", token + "\n", 0o600, token},
		{"of a group", token, 0o640, token},
		{"everybody's", token, 0o644, "chmod o= "},
		{"short", "123456789012345\n", 0o600, "has 15 characters; want at least 16"},
		{"empty", "\n", 0o600, "has 0 characters"},
		{"two", token + "\n" + token, 0o600, "has several lines"},
	} {
		path := filepath.Join(t.TempDir(), "page.token")
		labtest.Must(t, os.WriteFile(path, []byte(tt.text), 0o600))
		labtest.Must(t, os.Chmod(path, tt.mode))
		got, err := ReadToken(path)
		if err != nil {
			got = err.Error()
		}
		if isGood := err == nil; isGood != (tt.want == token) || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if _, err := ReadToken(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no error without a file")
	}
}
