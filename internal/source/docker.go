package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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
	macOf  func(device string) (net.HardwareAddr, error)
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
		Source: c, client: &http.Client{Transport: &http.Transport{DialContext: dial}}, macOf: deviceMAC, next: firstRetry,
	}
}

func deviceMAC(device string) (net.HardwareAddr, error) {
	dev, err := net.InterfaceByName(device)
	if err != nil {
		return nil, err
	}
	return dev.HardwareAddr, nil
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

// gateways returns the bindings of the network's gateways, which are addresses of its bridge on this host.
func (d *dockerNetwork) gateways(n importer.DockerNetwork) (all []importer.Lease, problems []importer.LeftOut) {
	isGateway := func(l importer.Lease) bool { return slices.Contains(n.Gateways, l.First) }
	if len(n.Gateways) == 0 || slices.ContainsFunc(n.Containers, isGateway) {
		return nil, nil
	}
	origin := registry.Origin{Source: fmt.Sprintf("docker %s gateway", d.Of)}
	mac, err := d.macOf(n.Bridge)
	if err != nil || len(mac) != len(registry.MAC{}) {
		return nil, []importer.LeftOut{{Origin: origin, What: n.Gateways[0].String(), Why: fmt.Sprintf("this host has no bridge %s, "+
			"whose MAC is the gateway's", n.Bridge)}}
	}
	for _, addr := range n.Gateways {
		b := registry.Binding{First: addr, Last: addr, MAC: registry.MAC(mac), Name: "gateway", Origin: origin}
		all = append(all, importer.Lease{Binding: b})
	}
	return all, nil
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
