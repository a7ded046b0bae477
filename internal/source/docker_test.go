package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

// An engine answers as Docker's does: /networks/backend, and /events.
type engine struct {
	t      *testing.T
	socket string
	server *http.Server
	ended  chan struct{}

	mu         sync.Mutex
	containers map[string]map[string]string // by ID
	isRemoved  bool
	gateway    string // that the network was made with; empty if the engine chose one, which it does not tell then
	asked      string // the filters of the last request for events
	listeners  map[chan string]bool
}

// startEngine starts an engine with a container until the test ends.
func startEngine(t *testing.T) *engine {
	t.Helper()
	e := &engine{t: t, socket: filepath.Join(t.TempDir(), "docker.sock"), listeners: map[chan string]bool{},
		containers: map[string]map[string]string{"c1": container("web", "02:00:06:de:54:a8", "172.18.0.2/16")}}
	e.start()
	t.Cleanup(e.stop)
	return e
}

func container(name, mac, addr string) map[string]string {
	return map[string]string{"Name": name, "EndpointID": "e", "MacAddress": mac, "IPv4Address": addr, "IPv6Address": ""}
}

func (e *engine) start() {
	e.t.Helper()
	l, err := net.Listen("unix", e.socket)
	labtest.Must(e.t, err)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /networks/backend", e.network)
	mux.HandleFunc("GET /events", e.events)
	e.server, e.ended = &http.Server{Handler: mux}, make(chan struct{})
	go func() { defer close(e.ended); _ = e.server.Serve(l) }()
}

// stop stops the engine, as when the machine's administrator restarts it.
func (e *engine) stop() {
	e.server.Close()
	<-e.ended
}

func (e *engine) network(w http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.isRemoved {
		http.Error(w, `{"message":"network backend not found"}`, http.StatusNotFound)
		return
	}
	subnet := map[string]string{"Subnet": "172.18.0.0/16"}
	if e.gateway != "" {
		subnet["Gateway"] = e.gateway
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"Name": "backend", "Id": "0123456789abcdef", "Driver": "bridge", "Options": map[string]string{},
		"IPAM":       map[string]any{"Config": []map[string]string{subnet}},
		"Containers": e.containers,
	})
}

func (e *engine) events(w http.ResponseWriter, r *http.Request) {
	events := make(chan string, 10)
	e.mu.Lock()
	e.asked = r.URL.Query().Get("filters")
	e.listeners[events] = true
	e.mu.Unlock()
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case event := <-events:
			fmt.Fprintln(w, event)
			w.(http.Flusher).Flush()
		}
	}
}

// change changes the containers, and tells whoever listens.
func (e *engine) change(action string, do func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	do()
	for events := range maps.Keys(e.listeners) {
		select {
		case events <- fmt.Sprintf(`{"Type":"network","Action":%q,"Actor":{"ID":"0123456789abcdef","Attributes":{"name":"backend"}}}`, action):
		default: // it has gone
		}
	}
}

// followDocker follows the engine's network until the test ends. The bridge br-0123456789ab has a MAC if hasBridge is true.
func followDocker(t *testing.T, e *engine, hasBridge bool) *stage {
	t.Helper()
	c := config.Source{Kind: config.Docker, Of: "backend", Socket: e.socket}
	d := newDockerNetwork(c)
	d.find = func(name string) (device, error) {
		if name != "br-0123456789ab" || !hasBridge {
			return device{}, errors.New("no such device")
		}
		// The address outside of the network's subnet is the operator's.
		addrs := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("172.18.0.1")}
		return device{net.HardwareAddr{2, 0, 0, 0xde, 0x54, 0xa8}, addrs}, nil
	}
	s := &stage{t: t, dir: filepath.Dir(e.socket)}
	s.Source = &Source{Source: c, log: slog.New(slog.DiscardHandler), follow: d}
	s.read(t.Context())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); s.Run(ctx, func() {}) }()
	t.Cleanup(func() { cancel(); <-ended })
	return s
}

const dockerGateway, dockerWeb, dockerDB = "172.18.0.1=02:00:00:de:54:a8", "172.18.0.2=02:00:06:de:54:a8", "172.18.0.3=02:00:07:de:54:a8"

// TestDocker starts and stops containers, and the engine.
func TestDocker(t *testing.T) {
	e := startEngine(t)
	s := followDocker(t, e, true)
	if got := s.has(); got != dockerGateway+" "+dockerWeb {
		t.Fatalf("at the start %q", got)
	}
	if got := s.State().Leases[1]; got.Name != "web" || got.Origin.String() != "docker backend container web" || !s.IsOrigin(got.Origin.String()) {
		t.Errorf("container %+v", got)
	}
	if e.asked != `{"type":["network"]}` {
		t.Errorf("filters %s", e.asked)
	}
	e.change("connect", func() { e.containers["c2"] = container("db", "02:00:07:de:54:a8", "172.18.0.3/16") })
	s.expect(dockerGateway + " " + dockerWeb + " " + dockerDB)
	e.change("disconnect", func() { delete(e.containers, "c1") })
	s.expect(dockerGateway + " " + dockerDB)

	// A container that started while the engine could not be asked is found afterwards.
	e.stop()
	s.expect(dockerGateway + " " + dockerDB + " error: asking Docker at docker.sock: dial unix docker.sock: connect: no such file or directory")
	e.change("connect", func() { e.containers["c1"] = container("web", "02:00:06:de:54:a8", "172.18.0.2/16") })
	e.start()
	s.expect(dockerGateway + " " + dockerWeb + " " + dockerDB)

	// A network that is made anew is gone for a moment.
	e.change("destroy", func() { e.isRemoved = true })
	s.expect(dockerGateway + " " + dockerWeb + " " + dockerDB + " error: there is no network backend in Docker; `docker network ls` lists its networks")
	e.change("create", func() { e.isRemoved = false; clear(e.containers) })
	s.expect(dockerGateway)
}

// TestDockerWithoutBridge has a network whose bridge is not here.
func TestDockerWithoutBridge(t *testing.T) {
	s := followDocker(t, startEngine(t), false)
	left := s.State().LeftOut
	if got := s.has(); got != dockerWeb || len(left) != 1 || !strings.Contains(left[0].String(), "docker backend gateway: br-0123456789ab: this host has no such bridge") {
		t.Errorf("%q, left out %v", got, left)
	}
}

// TestDockerGateway has a network that was made with a gateway, which the bridge has or has not.
func TestDockerGateway(t *testing.T) {
	for gateway, want := range map[string]string{
		"172.18.0.1":   "",
		"172.18.0.254": "docker backend gateway: 172.18.0.254: the bridge br-0123456789ab does not have this address",
	} {
		e := startEngine(t)
		e.gateway = gateway
		s := followDocker(t, e, true)
		left := s.State().LeftOut
		if got := s.has(); got != dockerGateway+" "+dockerWeb || (want == "") != (len(left) == 0) {
			t.Errorf("%s: %q, left out %v", gateway, got, left)
		} else if want != "" && !strings.HasPrefix(left[0].String(), want) {
			t.Errorf("%s: %s", gateway, left[0])
		}
	}
}

// TestNoDocker has no engine, and then one that answers nonsense.
func TestNoDocker(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "docker.sock")
	s := Open(t.Context(), config.Source{Kind: config.Docker, Of: "backend", Socket: socket}, slog.New(slog.DiscardHandler))
	defer s.Close()
	if err := s.State().Err; err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("error %v", err)
	}
	l, err := net.Listen("unix", socket)
	labtest.Must(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") })}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(l) }()
	defer func() { server.Close(); <-ended }()
	s.read(t.Context())
	if err := s.State().Err; err == nil || !strings.Contains(err.Error(), "invalid JSON") {
		t.Errorf("error %v", err)
	}
}
