package etcd

import (
	"context"
	"errors"
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
	"go.etcd.io/etcd/api/v3/mvccpb"
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
	isOwn    bool // of this fabric, or of one before it; not of another one with the same host name
}

// An Own claim is one of this host.
type Own struct {
	Tunnel    netip.Addr
	Overrules uint64 // the revision of the claim that is wrong because the guest was seen here, or 0
}

// Claims share behind which host each guest is. Each host has keys of its own, which end with its lease. Of several claims
// of one guest, the one with the latest revision is right.
type Claims struct {
	config   *config.Etcd
	keys     keys
	log      *slog.Logger
	instance string // tells apart two fabrics with one host name
	changed  chan struct{}
	publish  chan struct{}

	mu     sync.Mutex        // guards the fields below
	own    map[Guest]Own     // nil until the first Publish
	all    map[Guest][]Claim // what etcd has, one claim of each host; nil until it was read
	moves  map[Guest]moves
	twin   string // another fabric with this host's name, or ""
	denied error  // this host may not write its claims, or nil
}

// latest returns the claim that is right, or none.
func latest(claims []Claim) (right Claim) {
	for _, one := range claims {
		if one.Revision > right.Revision {
			right = one
		}
	}
	return right
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

// NewClaims returns the claims of a host. Run shares them.
func NewClaims(log *slog.Logger, c *config.Etcd) *Claims {
	return &Claims{
		config: c, keys: keys(c.Prefix), log: log, instance: fmt.Sprintf("process=%d started=%d", os.Getpid(), time.Now().UnixNano()),
		changed: make(chan struct{}, 1), publish: make(chan struct{}, 1), moves: map[Guest]moves{},
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
	for guest, claims := range c.all {
		if right := latest(claims); !right.isOwn {
			others[guest] = right
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
	if twin := c.findTwin(); twin != "" {
		found[""] = append(found[""], fmt.Sprintf("another arpfabric calls itself %s in etcd (%s); give each host a name of its own in "+
			"store.etcd.host", c.config.Host, twin))
	}
	if c.denied != nil {
		found[""] = append(found[""], c.denied.Error())
	}
	return found
}

// findTwin returns another fabric with this host's name, or "". The one that was there first knows it by the host's key, and
// both by each other's claims.
func (c *Claims) findTwin() string {
	if c.twin != "" {
		return c.twin
	}
	for _, claims := range c.all {
		for _, one := range claims {
			if one.Host == c.config.Host && !one.isOwn {
				return "at " + one.Tunnel.String()
			}
		}
	}
	return ""
}

// Run shares the claims until ctx ends. Those of this host stay until its lease ends, so that a restart changes nothing.
func (c *Claims) Run(ctx context.Context) {
	lastError := ""
	for ctx.Err() == nil {
		err := c.share(ctx)
		if ctx.Err() != nil {
			return
		}
		err = c.explain(err)
		// The store reports all else that is wrong with etcd.
		level := slog.LevelDebug
		if c.setDenied(err) {
			level = slog.LevelError
		}
		if text := fmt.Sprint(err); text != lastError {
			lastError = text
			c.log.Log(ctx, level, "cannot share with other hosts where guests are; trying again", "error", text)
		}
		select {
		case <-time.After(jitter(time.Second)):
		case <-ctx.Done():
		}
	}
}

var errDenied = errors.New("the other hosts cannot know which guests are here")

// explain is the package's explain, except that it names the keys of this host if the user may not write them.
func (c *Claims) explain(err error) error {
	if isDenied(err) {
		return fmt.Errorf("%w: grant etcd's user a role that may read and write %s, and the keys that begin with %s", errDenied,
			c.keys.host(c.config.Host), c.keys.claimsOf(c.config.Host))
	}
	return explain(err, c.config)
}

// setDenied notes whether an error is that this host may not write its claims.
func (c *Claims) setDenied(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.denied = nil
	if errors.Is(err, errDenied) {
		c.denied = err
	}
	return c.denied != nil
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
	lease, err := client.Grant(session, int64(c.config.Lease/time.Second))
	if err != nil {
		return err
	}
	alive, err := client.KeepAlive(session, lease.ID)
	if err != nil {
		return err
	}
	put, err := client.Put(session, c.keys.host(c.config.Host), c.instance, clientv3.WithLease(lease.ID))
	if err != nil {
		return err
	}
	revision, err := c.readAll(session, client)
	if err != nil {
		return err
	}
	s := &sharing{c, client, lease.ID}
	events := client.Watch(session, c.keys.claims(), clientv3.WithPrefix(), clientv3.WithRev(revision+1))
	hosts := client.Watch(session, c.keys.host(c.config.Host), clientv3.WithRev(put.Header.Revision+1))
	return s.loop(ctx, alive, events, hosts)
}

// readAll reads all claims.
func (c *Claims) readAll(ctx context.Context, client *clientv3.Client) (revision int64, err error) {
	resp, err := get(ctx, client, pagePatience, c.keys.claims(), clientv3.WithPrefix())
	if err != nil {
		return 0, err
	}
	all := map[Guest][]Claim{}
	for _, kv := range resp.Kvs {
		if guest, one, err := c.keys.parseClaim(kv); err == nil {
			one.isOwn = one.Host == c.config.Host
			all[guest] = append(all[guest], one)
		}
	}
	c.mu.Lock()
	for guest, claims := range all {
		c.noteMove(guest, latest(c.all[guest]).Host, latest(claims).Host)
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

func (k keys) claimsOf(host string) string { return k.claims() + host + "/" }

func (k keys) claim(host string, g Guest) string {
	return k.claimsOf(host) + g.Network + "/" + g.MAC.String()
}

// parseClaim parses a claim. If its key was deleted, it has no tunnel.
func (k keys) parseClaim(kv *mvccpb.KeyValue) (g Guest, c Claim, err error) {
	c.Revision, c.lease = uint64(kv.ModRevision), clientv3.LeaseID(kv.Lease)
	host, guest, _ := strings.Cut(strings.TrimPrefix(string(kv.Key), k.claims()), "/")
	network, mac, _ := strings.Cut(guest, "/")
	c.Host, g.Network = host, network
	if g.MAC, err = registry.ParseMAC(mac); err != nil || len(kv.Value) == 0 {
		return g, c, err
	}
	c.Tunnel, err = netip.ParseAddr(string(kv.Value))
	return g, c, err
}
