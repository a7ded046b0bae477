package page

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/explain"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

func TestMain(m *testing.M) { os.Exit(labtest.RunTests(m)) }

// A fake is a fabric with two networks: a lab, and one with ten thousand addresses in 10.240.0.0/18. Of these, about every
// other guest is active.
type fake struct {
	api.Fabric // for what the page does not ask
	event.Stream
	networks []config.Network
	problems []string
}

const (
	manyHosts = 10000
	labYAML   = `
networks:
  lab:
    attach: {bridge: br0, uplinks: [eth1]}
    subnet: 10.239.0.0/24
    gateway: 10.239.0.1
    registry:
      10.239.0.1:   {mac: "02:00:00:de:54:a8", name: gateway}
      10.239.0.101: {mac: "02:00:06:de:54:a8", name: web, port: vnet2}
      10.239.0.102: {mac: "02:00:07:de:54:a8", name: db, port: vnet3}
      10.239.0.103: {mac: "02:00:08:de:54:a8", name: '<img src=x onerror="document.title=1">'}
      10.239.0.128-10.239.0.143: {mac: "02:00:09:de:54:a8", name: balancer}
    registry_files: [lab.ethers]
  many:
    attach: {bridge: br1}
    subnet: 10.240.0.0/18
    registry_files: [many.ethers]
`
)

// hostOf is the n-th address with a binding: each block has 200 of them.
func hostOf(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 240, byte(n / 200), byte(n%200 + 10)})
}

// ethers binds n addresses to a MAC each.
func ethers(n int, addr func(int) netip.Addr) string {
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, "02:00:%02x:%02x:54:a8 %s\n", i>>8, i&255, addr(i))
	}
	return lines.String()
}

func newFake(t *testing.T) *fake {
	t.Helper()
	folder := t.TempDir()
	labtest.Write(t, filepath.Join(folder, "many.ethers"), ethers(manyHosts, hostOf))
	labtest.Write(t, filepath.Join(folder, "lab.ethers"), ethers(48, func(n int) netip.Addr {
		return inLab(byte(16 + n))
	}))
	labtest.Write(t, filepath.Join(folder, "lab.yaml"), strings.TrimPrefix(labYAML, "\n"))
	t.Chdir(folder) // for short origins
	cfg, err := config.Load("lab.yaml")
	labtest.Must(t, err)
	return &fake{networks: cfg.Networks}
}

func (f *fake) Status() api.Status {
	hour := time.Now().Add(-time.Hour)
	return api.Status{
		Version: "v1.2.3", PID: 42, Started: hour,
		Configuration: api.Configuration{Files: []string{"lab.yaml"}, Loaded: hour, Generation: 2},
		Networks: []api.Network{
			{Name: "lab", Mode: "vpc", Attach: "bridge br0 (uplink eth1)", Guard: "full", Bindings: 53, Ports: 3},
			{Name: "many", Mode: "vpc", Attach: "bridge br1", Guard: "full", Bindings: manyHosts, Ports: 0},
		},
		Problems:   append([]string{}, f.problems...),
		Reasons:    map[string]uint64{"answered": 7234, "unknown-target": 12, "spoofed-sender": 3},
		Violations: api.Violations{Records: len(violated)},
	}
}

func (f *fake) Ports() []api.Port {
	since := time.Now().Add(-40 * time.Minute)
	at := func(mac, name, addr string) []api.LocatedMAC {
		return []api.LocatedMAC{{MAC: mac, Since: since, From: "arp", Name: name, Addresses: []string{addr}}}
	}
	seen := time.Now().Add(-5 * time.Second)
	return []api.Port{
		{Network: "lab", Name: "br0", Index: 3, Kind: api.Host, MAC: "02:00:00:de:54:a8", Reasons: map[string]uint64{"answered": 12}},
		{Network: "lab", Name: "eth1", Index: 2, Kind: api.Uplink, Reasons: map[string]uint64{}},
		{
			Network: "lab", Name: "vnet2", Index: 5, Kind: api.GuestPort, LastSeen: &seen, MACs: at("02:00:06:de:54:a8", "web", "10.239.0.101"),
			Reasons: map[string]uint64{"answered": 7210, "self-probe": 2, "unknown-target": 12},
		},
		{Network: "lab", Name: "vnet3", Index: 6, Kind: api.GuestPort, MACs: at("02:00:07:de:54:a8", "db", "10.239.0.102"), Reasons: map[string]uint64{"answered": 12}},
		{
			Network: "lab", Name: "vnet4", Index: 7, Kind: api.GuestPort, MACs: at("02:00:09:de:54:a8", "balancer", "10.239.0.128-10.239.0.143"),
			Reasons: map[string]uint64{"spoofed-sender": 3}, Refused: 14,
		},
	}
}

// violated are the addresses that a guest used and may not use.
var violated = []netip.Addr{netip.MustParseAddr("10.239.0.102"), hostOf(1234), hostOf(567)}

// Violations knows the filters by network and address.
func (f *fake) Violations(filter api.ViolationFilter) []api.Violation {
	all := []api.Violation{}
	for i, addr := range violated {
		owner := f.LookupAddress(addr)[0]
		all = append(all, api.Violation{
			Network: owner.Network, Port: "vnet4", Reason: "spoofed-sender", Action: "drop", MAC: "02:00:09:de:54:a8",
			Address: addr, Target: netip.MustParseAddr("10.239.0.1"), Owner: &owner, Count: 3 + uint64(i),
			First: time.Now().Add(-20 * time.Minute), Last: time.Now().Add(-time.Duration(90-i) * time.Second), // the last one is the newest
		})
	}
	return slices.DeleteFunc(all, func(v api.Violation) bool {
		return len(filter.Networks) > 0 && !slices.Contains(filter.Networks, v.Network) ||
			len(filter.Addresses) > 0 && !slices.Contains(filter.Addresses, v.Address)
	})
}

func (f *fake) LookupAddress(addr netip.Addr) []api.Binding {
	return f.search(func(b registry.Binding) bool { return b.First.Compare(addr) <= 0 && addr.Compare(b.Last) <= 0 })
}

func (f *fake) LookupTextPrefix(text string) []api.Binding {
	return f.search(func(b registry.Binding) bool { return strings.HasPrefix(b.First.String(), text) })
}

func (f *fake) LookupName(name string) []api.Binding {
	return f.search(func(b registry.Binding) bool { return b.Name == name })
}

func (f *fake) LookupMAC(mac registry.MAC) []api.Binding {
	return f.search(func(b registry.Binding) bool { return b.MAC == mac })
}

func (f *fake) search(match func(registry.Binding) bool) []api.Binding {
	all := []api.Binding{}
	for _, n := range f.networks {
		for b := range n.Registry.All() {
			if match(b) && len(all) < 100 {
				all = append(all, located(n.Name, b))
			}
		}
	}
	return all
}

func located(network string, b registry.Binding) api.Binding {
	one := api.BindingOf(network, b)
	if isActive(b.MAC) {
		port := b.Port
		if port == "" {
			port = "vnet4"
		}
		one.Location = &api.Location{Port: port, Since: time.Now().Add(-40 * time.Minute), From: "arp"}
	}
	return one
}

// isActive scatters the active guests of the network with many. In the lab, those with names are active.
func isActive(mac registry.MAC) bool {
	n := int(mac[2])<<8 | int(mac[3])
	return mac[3] == 0xde || n*7919%97 < 50
}

func (f *fake) NetworkBindings(network string, q api.BindingQuery) (api.BindingPage, error) {
	page := api.BindingPage{Bindings: []api.NetworkBinding{}}
	for b := range f.network(network).Registry.All() {
		switch {
		case q.After.IsValid() && !q.After.Less(b.First):
		case len(page.Bindings) == q.Limit:
			page.After = page.Bindings[q.Limit-1].First.String()
			return page, nil
		default:
			page.Bindings = append(page.Bindings, api.NetworkBinding{Binding: located(network, b), Source: api.FromConfig})
		}
	}
	return page, nil
}

func (f *fake) network(name string) *config.Network {
	if name == "lab" {
		return &f.networks[0]
	}
	return &f.networks[1]
}

func (f *fake) AddressMap(network string, after netip.Addr, limit int) (api.AddressMap, error) {
	n := f.network(network)
	m := api.AddressMap{Subnet: n.Subnet.String(), Blocks: []api.AddressBlock{}}
	for first := n.Subnet.Addr(); n.Subnet.Contains(first); {
		states, addr := "", first
		for range 256 {
			states += string(stateOf(n, addr))
			addr = addr.Next()
		}
		if !after.IsValid() || after.Less(first) {
			m.Blocks = append(m.Blocks, api.AddressBlock{First: first, States: states})
		}
		first = addr
	}
	if len(m.Blocks) > limit {
		m.Blocks = m.Blocks[:limit]
		m.After = m.Blocks[limit-1].First.String()
	}
	return m, nil
}

func stateOf(n *config.Network, addr netip.Addr) api.AddressState {
	b, isBound := n.Registry.Lookup(addr)
	switch {
	case addr == n.Subnet.Addr(), !n.Subnet.Contains(addr.Next()): // its own address, and broadcast
		return api.UnusableAddress
	case slices.Contains(violated, addr):
		return api.ViolatedAddress
	case isBound && isActive(b.MAC):
		return api.ActiveAddress
	case isBound:
		return api.AllocatedAddress
	}
	return api.FreeAddress
}

func (f *fake) Explain(q explain.Question) (explain.Explanation, error) { return q.Answer(f.networks) }

func (f *fake) Listen(filter event.Filter, capacity, last int) *event.Listener {
	return f.Stream.Listen(filter, capacity, last)
}

// publish publishes the verdict on a request in the lab, from the host 101 or another one.
func (f *fake) publish(at time.Time, port string, sender, target byte, v responder.Verdict) {
	mac := net.HardwareAddr{2, 0, sender - 95, 0xde, 0x54, 0xa8}
	e := &event.Event{Time: at, Network: "lab", Port: port, Verdict: v}
	e.SetFrame(lab.Request(mac, inLab(sender), inLab(target)).Frame())
	f.Publish(e)
}

func inLab(host byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 239, 0, host}) }

// start serves the page of f until the test ends, and returns its address.
func start(t *testing.T, f api.Fabric, token string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	labtest.Must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, token, api.NewServer(f).ReadOnly(), slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serving ended with %v", err)
		}
	})
	return "http://" + l.Addr().String()
}
