package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

const (
	pageAddr = "127.0.0.1:9643"
	pageURL  = "http://" + pageAddr
)

// fetch returns the status and the body of an answer of the page, with a token, or "" for none. The status is 0 if nobody
// answers.
func fetch(t *testing.T, path, token string) (status int, body []byte) {
	t.Helper()
	r, err := http.NewRequest("GET", pageURL+path, nil)
	labtest.Must(t, err)
	if token != "" {
		r.SetBasicAuth("", token)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: labtest.Patience}
	answer, err := client.Do(r)
	if err != nil {
		return 0, nil
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(answer.Body)
	labtest.Must(t, err)
	return answer.StatusCode, body
}

// addressStates returns the states of the addresses 10.239.0.100 to 10.239.0.103 on the page's map.
func addressStates(t *testing.T) string {
	t.Helper()
	var m api.AddressMap
	if _, body := fetch(t, "/v1/networks/lab/addresses", ""); json.Unmarshal(body, &m) != nil || len(m.Blocks) == 0 {
		return ""
	}
	return m.Blocks[0].States[100:104]
}

// TestPage checks that the page shows what guests do.
func TestPage(t *testing.T) {
	s := newStage(t)
	startRun(t, onBridge("page: {listen: '"+pageAddr+"'}\n"))
	labtest.Eventually(t, "the page is served", func() bool {
		status, body := fetch(t, "/", "")
		return status == http.StatusOK && strings.Contains(string(body), "<title>arpfabric</title>")
	})
	s.app.expectAnswered(t)
	labtest.Eventually(t, "app is active", func() bool { return strings.HasPrefix(addressStates(t), ".A") })
	forged := lab.Request(s.app.MAC, s.db.Addr.Addr(), netip.MustParseAddr("10.239.0.1")).Frame()
	labtest.Must(t, s.app.Send(forged))
	labtest.Eventually(t, "db's address is violated", func() bool { return addressStates(t) == ".A!." })

	labtest.Eventually(t, "status says where the page is", func() bool {
		_, out := runToEnd(t, nil, "status")
		return strings.Contains(out, "\npage "+pageURL+"/\n")
	})
}

// TestPageWithToken checks that the page asks for the token in a file, also on all addresses.
func TestPageWithToken(t *testing.T) {
	newStage(t)
	const token = "0123456789abcdef"
	file := labtest.TempFile(t, "page.token", token+"\n")
	startRun(t, onBridge("page: {listen: ':9643', token_file: "+file+"}\n"))
	labtest.Eventually(t, "the page asks for the token", func() bool {
		status, _ := fetch(t, "/", "")
		return status == http.StatusUnauthorized
	})
	if status, body := fetch(t, "/v1/status", token); status != http.StatusOK || !strings.Contains(string(body), `"url":"http://localhost:9643/"`) {
		t.Errorf("status %d: %s", status, body)
	}
}

// TestPageUnavailable checks that guests get answers although the page cannot be served, and that status says so.
func TestPageUnavailable(t *testing.T) {
	s := newStage(t)
	l, err := net.Listen("tcp", pageAddr)
	labtest.Must(t, err)
	defer l.Close()
	p := startRun(t, onBridge("page: {listen: '"+pageAddr+"'}\n"))
	p.expectLog(t, `level=WARN msg="page unavailable until the next start" listen=`+pageAddr)
	s.app.expectAnswered(t)
	code, out := runToEnd(t, nil, "status", "--check")
	if want := "the page is not available until the next start: listen tcp " + pageAddr; code != exitNo || !strings.Contains(out, want) {
		t.Errorf("exit code %d, %s", code, out)
	}
}

// TestPageWithoutToken checks that a page whose token cannot be read is not served, and that check says so.
func TestPageWithoutToken(t *testing.T) {
	s := newStage(t)
	path := labtest.TempFile(t, "arpfabric.yaml", onBridge("page: {listen: '"+pageAddr+"', token_file: page.token}\n"))
	want := "warning: page.token_file: reading the token: stat " + filepath.Join(filepath.Dir(path), "page.token") + ": no such file"
	if _, out := runToEnd(t, nil, "check", path); !strings.Contains(out, want) {
		t.Errorf("check: %s, want %s", out, want)
	}
	p := startWith(t, path)
	p.expectLog(t, "page unavailable until the next start")
	s.app.expectAnswered(t)
	if status, _ := fetch(t, "/", ""); status != 0 {
		t.Errorf("the page answers with %d", status)
	}
}
