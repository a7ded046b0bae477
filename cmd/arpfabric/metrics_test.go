package main

import (
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

const (
	metricsAddr = "127.0.0.1:9642"
	withMetrics = "metrics: {listen: '" + metricsAddr + "'}\n"
)

// scrape returns the fabric's metrics: the values by the series, in Prometheus' notation. It returns none if they
// cannot be fetched.
func scrape(t *testing.T) map[string]string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: labtest.Patience}
	answer, err := client.Get("http://" + metricsAddr + "/metrics")
	if err != nil {
		return nil
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	labtest.Must(t, err)
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

// expectMetrics waits until the series whose names have a prefix are those in want.
func expectMetrics(t *testing.T, beginning string, want map[string]string) {
	t.Helper()
	var got map[string]string
	defer func() {
		if t.Failed() {
			t.Logf("%s…: %v, want %v", beginning, got, want)
		}
	}()
	labtest.Eventually(t, beginning+"… is as it should be", func() bool {
		got = scrape(t)
		maps.DeleteFunc(got, func(name, _ string) bool { return !strings.HasPrefix(name, beginning) })
		return maps.Equal(got, want)
	})
}

func TestMetrics(t *testing.T) {
	s := newStage(t)
	path := labtest.TempFile(t, "arpfabric.yaml", onBridge(withMetrics))
	p := arpfabric(t, nil, "run", "--config", path)
	p.expectLog(t, "network attached")
	for range 3 {
		labtest.Must(t, s.app.Send(s.app.request("10.239.0.1")))
	}
	for range 2 {
		labtest.Must(t, s.app.Send(s.app.request("10.239.0.55")))
	}
	forged := lab.EchoReply(s.db.MAC, s.app.MAC, s.db.Addr.Addr(), s.db.Addr.Addr(), nil)
	labtest.Must(t, s.app.Send(forged))

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

	labtest.Must(t, lab.DeleteLink(s.app.Port))
	expectMetrics(t, "arpfabric_frames_total", map[string]string{})
	expectMetrics(t, "arpfabric_ports", map[string]string{`arpfabric_ports{network="lab"}`: "1"})

	labtest.Write(t, path, "networks: {}\n")
	expectMetrics(t, "arpfabric_config_last_reload_successful", map[string]string{
		"arpfabric_config_last_reload_successful": "0",
	})
}

// TestMetricsUnderSlowClients checks that clients which send half a request, or do not read the answer, delay neither
// Prometheus nor guests.
func TestMetricsUnderSlowClients(t *testing.T) {
	s := newStage(t)
	startRun(t, onBridge(withMetrics))
	labtest.Eventually(t, "metrics are served", func() bool { return len(scrape(t)) > 0 })
	for range 16 {
		for _, text := range []string{"GET /metrics HTTP/1.1\r\nHost: ", "GET /metrics HTTP/1.1\r\nHost: lab\r\n\r\n"} {
			c, err := net.Dial("tcp", metricsAddr)
			labtest.Must(t, err)
			defer c.Close()
			_, err = io.WriteString(c, text)
			labtest.Must(t, err)
		}
	}
	for range 3 {
		s.app.expectAnswered(t)
		if got := scrape(t)[`arpfabric_bindings{network="lab"}`]; got != "3" {
			t.Errorf("%s bindings, want 3", got)
		}
	}
}

// TestMetricsAddressInUse checks that guests get answers although the metrics cannot be served.
func TestMetricsAddressInUse(t *testing.T) {
	s := newStage(t)
	l, err := net.Listen("tcp", metricsAddr)
	labtest.Must(t, err)
	defer l.Close()
	p := startRun(t, onBridge(withMetrics))
	p.expectLog(t, `level=WARN msg="metrics unavailable until the next start" listen=`+metricsAddr)
	s.app.expectAnswered(t)
}

// TestHealthz checks that the fabric says at the address of the metrics that it is alive.
func TestHealthz(t *testing.T) {
	newStage(t)
	startRun(t, onBridge(withMetrics))
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: labtest.Patience}
	labtest.Eventually(t, "it is healthy", func() bool {
		answer, err := client.Get("http://" + metricsAddr + "/healthz")
		if err != nil {
			return false // the fabric opens the address after it has logged that networks are attached
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		return answer.StatusCode == http.StatusOK && string(body) == "ok\n"
	})
}
