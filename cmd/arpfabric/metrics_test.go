package main

import (
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
)

const (
	metricsAddr = "127.0.0.1:9642"
	withMetrics = "metrics: {listen: '" + metricsAddr + "'}\n"
)

// scrape returns the fabric's metrics, as Prometheus writes series and values: none while they can't be fetched.
func scrape(t *testing.T) map[string]string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: lab.Patience}
	answer, err := client.Get("http://" + metricsAddr + "/metrics")
	if err != nil {
		return nil
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	must(t, err)
	series := map[string]string{}
	for line := range strings.Lines(string(body)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok && strings.HasPrefix(line, "arpfabric_") {
			series[name+"}"] = value
		} else if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.HasPrefix(line, "arpfabric_") {
			series[name] = value
		}
	}
	return series
}

// expectMetrics waits until all series whose names begin in this way are these.
func expectMetrics(t *testing.T, beginning string, want map[string]string) {
	t.Helper()
	var got map[string]string
	defer func() {
		if t.Failed() {
			t.Logf("%s…: %v, want %v", beginning, got, want)
		}
	}()
	lab.Eventually(t, beginning+"… is as it should be", func() bool {
		got = scrape(t)
		maps.DeleteFunc(got, func(name, _ string) bool { return !strings.HasPrefix(name, beginning) })
		return maps.Equal(got, want)
	})
}

func TestMetrics(t *testing.T) {
	s := newStage(t)
	path := write(t, onBridge(withMetrics))
	p := arpfabric(t, nil, "run", "--config", path)
	p.expectLog(t, "network attached")
	for range 3 {
		must(t, s.app.Send(s.app.request("10.239.0.1")))
	}
	for range 2 {
		must(t, s.app.Send(s.app.request("10.239.0.55")))
	}
	forged := lab.EchoReply(s.db.MAC, s.app.MAC, s.db.Addr.Addr(), s.db.Addr.Addr(), nil)
	must(t, s.app.Send(forged))

	expectMetrics(t, "arpfabric_frames_total", map[string]string{
		`arpfabric_frames_total{action="reply",network="lab",port="vnet1",reason="answered"}`:      "3",
		`arpfabric_frames_total{action="drop",network="lab",port="vnet1",reason="unknown-target"}`: "2",
		`arpfabric_frames_total{action="drop",network="lab",port="vnet1",reason="spoofed-source"}`: "1",
	})
	expectMetrics(t, "arpfabric_refused_frames_total", map[string]string{
		`arpfabric_refused_frames_total{network="lab",port="vnet1"}`: "1",
		`arpfabric_refused_frames_total{network="lab",port="vnet2"}`: "0",
	})
	expectMetrics(t, "arpfabric_violation", map[string]string{
		`arpfabric_violation_frames_total{network="lab",port="vnet1"}`: "1",
		`arpfabric_violation_frames_total{network="lab",port="vnet2"}`: "0",
		`arpfabric_violation_records`:                                  "1",
		`arpfabric_violation_records_forgotten_total`:                  "0",
	})
	expectMetrics(t, "arpfabric_answer_duration_seconds_count", map[string]string{
		"arpfabric_answer_duration_seconds_count": "3",
	})
	expectMetrics(t, "arpfabric_network_info", map[string]string{
		`arpfabric_network_info{attach="bridge br0",guard="full",mode="vpc",network="lab"}`: "1",
	})

	must(t, lab.DeleteLink(s.app.Port))
	expectMetrics(t, "arpfabric_frames_total", map[string]string{})
	expectMetrics(t, "arpfabric_ports", map[string]string{`arpfabric_ports{network="lab"}`: "1"})

	must(t, os.WriteFile(path, []byte("networks: {}\n"), 0o600))
	expectMetrics(t, "arpfabric_config_last_reload_successful", map[string]string{
		"arpfabric_config_last_reload_successful": "0",
	})
}

// TestMetricsUnderSlowClients holds that clients who say half of what they want, or don't read what they get, keep
// neither Prometheus nor guests from their answers.
func TestMetricsUnderSlowClients(t *testing.T) {
	s := newStage(t)
	startRun(t, onBridge(withMetrics))
	lab.Eventually(t, "metrics are served", func() bool { return len(scrape(t)) > 0 })
	for range 16 {
		for _, text := range []string{"GET /metrics HTTP/1.1\r\nHost: ", "GET /metrics HTTP/1.1\r\nHost: lab\r\n\r\n"} {
			c, err := net.Dial("tcp", metricsAddr)
			must(t, err)
			defer c.Close()
			_, err = io.WriteString(c, text)
			must(t, err)
		}
	}
	for range 3 {
		s.app.expectAnswered(t)
		if got := scrape(t)[`arpfabric_bindings{network="lab"}`]; got != "3" {
			t.Errorf("%s bindings, want 3", got)
		}
	}
}

// TestMetricsAddressInUse holds that guests are answered all the same.
func TestMetricsAddressInUse(t *testing.T) {
	s := newStage(t)
	l, err := net.Listen("tcp", metricsAddr)
	must(t, err)
	defer l.Close()
	p := startRun(t, onBridge(withMetrics))
	p.expectLog(t, `level=WARN msg="there are no metrics until the next start" listen=`+metricsAddr)
	s.app.expectAnswered(t)
}
