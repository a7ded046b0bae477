package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/importer"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// A dockerNetwork follows a network of Docker. It asks the engine's API by HTTP on its unix socket, by two documented paths,
// /networks and /events, that its first versions had: the engine's own client for Go would bring dozens of modules.
type dockerNetwork struct {
	config.Source
	client *http.Client
	find   func(device string) (device, error)
	events *eventStream // nil if the engine can't be reached
	next   time.Duration
}

// How long the engine may take to answer, and how long a source waits until it asks again an engine that does not.
const (
	dockerPatience = 3 * time.Second
	firstRetry     = 100 * time.Millisecond
	longestRetry   = 5 * time.Second
)

// largestAnswer limits what is read of an answer of the engine, in bytes: enough for 100 thousand containers.
const largestAnswer = 64 << 20

func newDockerNetwork(c config.Source) *dockerNetwork {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", c.Socket)
	}
	return &dockerNetwork{
		Source: c, client: &http.Client{Transport: &http.Transport{DialContext: dial}}, find: findDevice, next: firstRetry,
	}
}

// A device is an interface of this host.
type device struct {
	mac   net.HardwareAddr
	addrs []netip.Addr // IPv4
}

func findDevice(name string) (d device, err error) {
	dev, err := net.InterfaceByName(name)
	if err != nil {
		return d, err
	}
	addrs, err := dev.Addrs()
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().Is4() {
			d.addrs = append(d.addrs, prefix.Addr())
		}
	}
	d.mac = dev.HardwareAddr
	return d, err
}

func (d *dockerNetwork) close() {
	d.closeEvents()
	d.client.CloseIdleConnections()
}

func (d *dockerNetwork) closeEvents() {
	if d.events != nil {
		d.events.close()
		d.events = nil
	}
}

// read asks for the network. The stream of events begins before that, so that no change is missed.
func (d *dockerNetwork) read(ctx context.Context, _ time.Time) ([]importer.Lease, []importer.LeftOut, error) {
	err := d.openEvents(ctx)
	var leases []importer.Lease
	var leftOut []importer.LeftOut
	if err == nil {
		leases, leftOut, err = d.readNetwork(ctx)
	}
	if err != nil {
		d.closeEvents()
		d.next = min(2*d.next, longestRetry)
		return nil, nil, err
	}
	d.next = firstRetry
	return leases, leftOut, nil
}

func (d *dockerNetwork) readNetwork(ctx context.Context) ([]importer.Lease, []importer.LeftOut, error) {
	ctx, cancel := context.WithTimeout(ctx, dockerPatience)
	defer cancel()
	answer, err := d.get(ctx, "/networks/"+url.PathEscape(d.Of))
	if err != nil {
		return nil, nil, err
	}
	defer answer.Close()
	data, err := io.ReadAll(io.LimitReader(answer, largestAnswer+1))
	if err == nil && len(data) > largestAnswer {
		err = fmt.Errorf("the answer is larger than %d MiB", largestAnswer>>20)
	}
	if err != nil {
		return nil, nil, d.failed(err)
	}
	n, err := importer.ReadDockerNetwork(data, d.Of)
	if err != nil {
		return nil, nil, d.failed(err)
	}
	gateways, problems := d.gateways(n)
	leases := append(gateways, n.Containers...)
	slices.SortFunc(leases, func(a, b importer.Lease) int { return a.First.Compare(b.First) })
	return leases, append(n.LeftOut, problems...), nil
}

// gateways returns the bindings of the network's gateways: the addresses of its bridge on this host. The engine does not
// know them all: of a network that was made with a subnet and without a gateway, it tells none.
func (d *dockerNetwork) gateways(n importer.DockerNetwork) (all []importer.Lease, problems []importer.LeftOut) {
	origin := registry.Origin{Source: fmt.Sprintf("docker %s gateway", d.Of)}
	leaveOut := func(what, format string, args ...any) {
		problems = append(problems, importer.LeftOut{Origin: origin, What: what, Why: fmt.Sprintf(format, args...)})
	}
	if n.Bridge == "" { // its gateway, if it has one, is outside
		return nil, nil
	}
	bridge, err := d.find(n.Bridge)
	if err != nil || len(bridge.mac) != len(registry.MAC{}) {
		leaveOut(n.Bridge, "this host has no such bridge, whose MAC and addresses are the gateway's")
		return nil, problems
	}
	for _, addr := range bridge.addrs {
		if slices.ContainsFunc(n.Subnets, func(s netip.Prefix) bool { return s.Contains(addr) }) {
			b := registry.Binding{First: addr, Last: addr, MAC: registry.MAC(bridge.mac), Name: "gateway", Origin: origin}
			all = append(all, importer.Lease{Binding: b})
		}
	}
	for _, addr := range n.Gateways {
		if !slices.Contains(bridge.addrs, addr) && !slices.ContainsFunc(n.Containers, hasAddress(addr)) {
			leaveOut(addr.String(), "the bridge %s does not have this address; if another host has it, bind it in the registry", n.Bridge)
		}
	}
	return all, problems
}

func hasAddress(addr netip.Addr) func(importer.Lease) bool {
	return func(l importer.Lease) bool { return l.First == addr }
}

// get returns the body of an answer of the engine. Close it.
func (d *dockerNetwork) get(ctx context.Context, path string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := d.client.Do(request)
	switch {
	case err != nil:
		return nil, d.failed(err)
	case response.StatusCode == http.StatusNotFound:
		err = fmt.Errorf("there is no network %s in Docker; `docker network ls` lists its networks", d.Of)
	case response.StatusCode != http.StatusOK:
		err = d.failed(fmt.Errorf("the answer is %s", response.Status))
	default:
		return response.Body, nil
	}
	response.Body.Close()
	return nil, err
}

// failed returns an error of a request, without the URL that nobody knows.
func (d *dockerNetwork) failed(err error) error {
	if wrong, ok := errors.AsType[*url.Error](err); ok {
		err = wrong.Err
	}
	return fmt.Errorf("asking Docker at %s: %w", d.Socket, err)
}

// An eventStream receives the engine's events about a network.
type eventStream struct {
	cancel context.CancelFunc
	news   chan struct{} // has one element after an event
	ended  chan struct{} // closed when the stream has ended
}

// openEvents opens the stream of events, unless it is open.
func (d *dockerNetwork) openEvents(ctx context.Context) error {
	if d.events != nil {
		select {
		case <-d.events.ended:
			d.closeEvents()
		default:
			return nil
		}
	}
	filters, err := json.Marshal(map[string][]string{"type": {"network"}})
	if err != nil {
		return err
	}
	streaming, cancel := context.WithCancel(context.WithoutCancel(ctx))
	late := time.AfterFunc(dockerPatience, cancel)
	body, err := d.get(streaming, "/events?filters="+url.QueryEscape(string(filters)))
	if !late.Stop() && err == nil {
		body.Close()
		err = d.failed(context.DeadlineExceeded)
	}
	if err != nil {
		cancel()
		return err
	}
	s := &eventStream{cancel, make(chan struct{}, 1), make(chan struct{})}
	d.events = s
	go s.receive(body)
	return nil
}

// receive reads events until the stream ends. Each leads to another reading: they are few, and the network's name may be in
// several places of an event, or its ID.
func (s *eventStream) receive(body io.ReadCloser) {
	defer close(s.ended)
	defer body.Close()
	events := json.NewDecoder(body)
	for {
		var event json.RawMessage
		if events.Decode(&event) != nil {
			return
		}
		select {
		case s.news <- struct{}{}:
		default:
		}
	}
}

func (s *eventStream) close() {
	s.cancel()
	<-s.ended
}

// wait implements [follower]. An engine that can't be reached is asked again after a while.
func (d *dockerNetwork) wait(ctx context.Context, ends <-chan time.Time) (bool, error) {
	if d.events == nil {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-ends:
			return false, nil
		case <-time.After(d.next):
			return true, nil
		}
	}
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case <-ends:
		return false, nil
	case <-d.events.ended:
		return true, nil
	case <-d.events.news:
		return true, nil
	}
}
