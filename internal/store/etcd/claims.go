package etcd

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/responder/registry"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A Guest is a MAC of a network.
type Guest struct {
	Network string
	MAC     registry.MAC
}

// A Claim says that a guest is behind a host.
type Claim struct {
	Host     string
	Tunnel   netip.Addr // of the host, for the network
	Revision uint64
	lease    clientv3.LeaseID
}

// An Own claim is one of this host.
type Own struct {
	Tunnel    netip.Addr
	Overrules uint64 // the revision of the claim that is wrong because the guest was seen here, or 0
}

// Claims share behind which host each guest is. A host's claims end with its lease, and of several claims the last one is
// right: each guest has one key.
type Claims struct {
	config   *config.Etcd
	keys     keys
	log      *slog.Logger
	instance string // tells apart two fabrics with one host name
	changed  chan struct{}
	publish  chan struct{}
	lease    time.Duration // how long the claims of a host stay that is gone

	mu    sync.Mutex      // guards the fields below
	own   map[Guest]Own   // nil until the first Publish
	all   map[Guest]Claim // what etcd has; nil until it was read
	moves map[Guest]moves
	twin  string // another fabric with this host's name, or ""
}

// moves counts how often a guest has moved between hosts.
type moves struct {
	since  time.Time
	number int
	hosts  [2]string // the last two
}

// A guest that moves more often is reported: two hosts have its MAC.
const (
	mostMoves   = 3
	movesPeriod = time.Minute
)

// defaultLease is how long a host's claims stay after it has lost etcd, or has died. It is longer than an election, or a
// restart.
const defaultLease = 60 * time.Second

// NewClaims returns the claims of a host. Run shares them.
func NewClaims(log *slog.Logger, c *config.Etcd) *Claims {
	return &Claims{
		config: c, keys: keys(c.Prefix), log: log, instance: fmt.Sprintf("process=%d started=%d", os.Getpid(), time.Now().UnixNano()),
		changed: make(chan struct{}, 1), publish: make(chan struct{}, 1), lease: defaultLease,
		moves: map[Guest]moves{},
	}
}

// Changed returns a channel that receives when others' claims have changed.
func (c *Claims) Changed() <-chan struct{} { return c.changed }

// Publish makes these the claims of this host.
func (c *Claims) Publish(own map[Guest]Own) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own == nil || !maps.Equal(c.own, own) {
		c.own = own
		notify(c.publish)
	}
}

// Others returns the claims of other hosts. It returns false until they are known.
func (c *Claims) Others() (map[Guest]Claim, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	others := map[Guest]Claim{}
	for guest, one := range c.all {
		if one.Host != c.config.Host {
			others[guest] = one
		}
	}
	return others, c.all != nil
}

// Findings says, by network, which guests two hosts claim, and for all networks, as "", that there is a twin.
func (c *Claims) Findings() map[string][]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := map[string][]string{}
	for guest, m := range c.moves {
		if m.number > mostMoves && time.Since(m.since) < 2*movesPeriod {
			found[guest.Network] = append(found[guest.Network], fmt.Sprintf("two hosts have guests with the MAC %s: %s and %s; give one of them "+
				"another MAC", guest.MAC, m.hosts[0], m.hosts[1]))
		}
	}
	for _, list := range found {
		slices.Sort(list)
	}
	if c.twin != "" {
		found[""] = []string{fmt.Sprintf("another arpfabric calls itself %s in etcd (%s); give each host a name of its own in store.etcd.host",
			c.config.Host, c.twin)}
	}
	return found
}

// Run shares the claims until ctx ends. Those of this host stay until its lease ends, so that a restart changes nothing.
func (c *Claims) Run(ctx context.Context) {
	lastError := ""
	for ctx.Err() == nil {
		err := c.share(ctx)
		if ctx.Err() != nil {
			return
		}
		// The store reports what is wrong with etcd.
		if text := fmt.Sprint(explain(err, c.config)); text != lastError {
			lastError = text
			c.log.Debug("cannot share with other hosts where guests are; trying again", "error", text)
		}
		select {
		case <-time.After(jitter(time.Second)):
		case <-ctx.Done():
		}
	}
}

// share shares the claims under one lease, until an error.
func (c *Claims) share(ctx context.Context) error {
	client, err := connect(context.Background(), c.config)
	if err != nil {
		return err
	}
	defer client.Close()
	session, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	lease, err := client.Grant(session, int64(c.lease/time.Second))
	if err != nil {
		return err
	}
	alive, err := client.KeepAlive(session, lease.ID)
	if err != nil {
		return err
	}
	if _, err := client.Put(session, c.keys.host(c.config.Host), c.instance, clientv3.WithLease(lease.ID)); err != nil {
		return err
	}
	revision, err := c.readAll(session, client)
	if err != nil {
		return err
	}
	s := &sharing{c, client, lease.ID}
	events := client.Watch(session, c.keys.claims(), clientv3.WithPrefix(), clientv3.WithRev(revision+1))
	hosts := client.Watch(session, c.keys.host(c.config.Host), clientv3.WithRev(revision+1))
	return s.loop(ctx, alive, events, hosts)
}

// readAll reads all claims.
func (c *Claims) readAll(ctx context.Context, client *clientv3.Client) (revision int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	resp, err := client.Get(ctx, c.keys.claims(), clientv3.WithPrefix())
	if err != nil {
		return 0, err
	}
	all := map[Guest]Claim{}
	for _, kv := range resp.Kvs {
		if guest, one, err := c.keys.parseClaim(string(kv.Key), string(kv.Value)); err == nil {
			one.Revision, one.lease = uint64(kv.ModRevision), clientv3.LeaseID(kv.Lease)
			all[guest] = one
		}
	}
	c.mu.Lock()
	for guest, one := range all {
		c.noteMove(guest, c.all[guest].Host, one.Host)
	}
	c.all = all
	c.mu.Unlock()
	notify(c.changed)
	return resp.Header.Revision, nil
}

func notify(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// The keys of hosts and of claims.

func (k keys) host(name string) string { return k.under("hosts") + name }

func (k keys) claims() string { return k.under("locations") }

func (k keys) claim(g Guest) string { return k.claims() + g.Network + "/" + g.MAC.String() }

func formatClaim(host string, tunnel netip.Addr) string { return host + " " + tunnel.String() }

func (k keys) parseClaim(key, value string) (g Guest, c Claim, err error) {
	network, mac, _ := strings.Cut(strings.TrimPrefix(key, k.claims()), "/")
	g.Network = network
	if g.MAC, err = registry.ParseMAC(mac); err != nil {
		return g, c, err
	}
	host, tunnel, _ := strings.Cut(value, " ")
	c.Host = host
	c.Tunnel, err = netip.ParseAddr(tunnel)
	return g, c, err
}
