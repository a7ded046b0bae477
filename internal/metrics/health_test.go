package metrics

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

func alive(context.Context) error { return nil }

// TestHealth checks that the fabric is asked once a second at most, and the answers.
func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, stuck := 0, error(nil)
		h := handler(newRegistry(fixed(sample(t))), func(context.Context) error { asked++; return stuck }, slog.New(slog.DiscardHandler))
		expect := func(status int, text string, asks int) {
			t.Helper()
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", healthPath, nil))
			if w.Code != status || w.Body.String() != text || asked != asks {
				t.Errorf("status %d, %q, asked %d times; want %d, %q, %d", w.Code, w.Body, asked, status, text, asks)
			}
		}
		expect(200, "ok\n", 1)
		stuck = errors.New("the loop is stuck")
		expect(200, "ok\n", 1)
		time.Sleep(cacheTime)
		expect(503, "the loop is stuck\n", 2)
		expect(503, "the loop is stuck\n", 2)
		stuck = nil
		time.Sleep(cacheTime)
		expect(200, "ok\n", 3)
	})
}
