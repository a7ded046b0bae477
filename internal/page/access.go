package page

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// minToken is the fewest characters of a token. Nothing slows down a client that guesses.
const minToken = 16

// ReadToken reads the token in a file: its only line. Other users may not be able to read the file.
func ReadToken(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("reading the token: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("everybody on this machine can use the token in %s: chmod o= %s", path, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading the token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	switch {
	case strings.ContainsAny(token, "\r\n"):
		return "", fmt.Errorf("the token in %s has several lines; want one", path)
	case len(token) < minToken:
		return "", fmt.Errorf("the token in %s has %d characters; want at least %d, such as those of: openssl rand -hex 16",
			path, len(token), minToken)
	}
	return token, nil
}

// An access checks who asks: a person's browser, and not a page of somebody else's that the browser shows as well.
type access struct {
	token string // "" for none: then only programs on this machine can connect
	next  http.Handler
}

// ServeHTTP passes a request on, or refuses it.
func (a access) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	switch {
	case a.token == "" && !isLoopback(r.Host):
		http.Error(w, "open the page by an address of this machine, such as http://localhost, or give it a token "+
			"(page.token_file): any name may be somebody else's", http.StatusForbidden)
	case isForeign(r):
		http.Error(w, "a page of another site has sent this request", http.StatusForbidden)
	case !a.admits(r):
		w.Header().Set("WWW-Authenticate", `Basic realm="arpfabric: the token is the password", charset="UTF-8"`)
		http.Error(w, "give the token in page.token_file as the password, with any user name", http.StatusUnauthorized)
	default:
		a.next.ServeHTTP(w, r)
	}
}

// setHeaders sets the headers of every answer. They let the page use nothing except its own files and its own server,
// and let no other page embed or read it.
func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
		"connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Embedder-Policy", "require-corp")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-store")
}

// isLoopback reports whether a Host header names the loopback interface. Another site can give its own name a loopback
// address (DNS rebinding), so that the browser takes this page for one of the site's; it can't choose the Host.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}

// isForeign reports whether a page of another origin made the browser send a request. A link elsewhere may open the page.
func isForeign(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" {
		u, err := url.Parse(origin)
		if err != nil || !strings.EqualFold(u.Host, r.Host) {
			return true
		}
	}
	// Browsers send these to addresses that they trust, such as localhost, and no page can set them.
	site, mode := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Sec-Fetch-Mode")
	isLink := r.Method == http.MethodGet && r.URL.Path == "/" && mode == "navigate"
	return site != "" && site != "same-origin" && site != "none" && !isLink
}

// admits reports whether a request has the token, if there is one.
func (a access) admits(r *http.Request) bool {
	if a.token == "" {
		return true
	}
	_, password, _ := r.BasicAuth()
	// Of the same length, so that the time of the comparison tells nothing.
	got, want := sha256.Sum256([]byte(password)), sha256.Sum256([]byte(a.token))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}
