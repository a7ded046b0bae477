package etcd

import (
	"context"
	"time"

	"github.com/arpfabric/arpfabric/internal/store"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A list has all addresses of one revision.
type list struct {
	table    *store.Table
	count    int // of the keys
	revision int64
	cluster  uint64  // the ID of the cluster
	problems []error // keys that have no effect
}

const (
	// pageSize is the number of keys that are read at once. For each page etcd counts all keys that follow, so smaller pages
	// cost it more.
	pageSize = 10_000
	// pagePatience is how long a page may take if many hosts start at once: one that gave up would begin again. The client
	// notices by itself that a connection is broken, and etcd that most of its members are gone.
	pagePatience = time.Minute
)

// readAll reads all addresses.
func readAll(ctx context.Context, client *clientv3.Client, k keys) (*list, error) {
	head, err := get(ctx, client, patience, k.addresses()) // small, so that it is soon known if etcd cannot be reached
	if err != nil {
		return nil, err
	}
	l, now := &list{table: store.NewTable(), revision: head.Header.Revision, cluster: head.Header.ClusterId}, now()
	end := clientv3.GetPrefixRangeEnd(k.addresses())
	for key := k.addresses(); ; {
		page, err := get(ctx, client, pagePatience, key, clientv3.WithRange(end), clientv3.WithLimit(pageSize), clientv3.WithRev(l.revision))
		if err != nil {
			return nil, err
		}
		l.count += len(page.Kvs)
		for _, kv := range page.Kvs {
			if c, err := k.parseState(string(kv.Key), string(kv.Value), kv.ModRevision); err == nil {
				if c.At.After(now) {
					c.At = now // the clock of the host that has freed it was wrong
				}
				l.table.Apply(c)
			} else {
				l.problems = append(l.problems, err)
			}
		}
		if !page.More {
			return l, nil
		}
		key = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
}

func get(
	ctx context.Context, client *clientv3.Client, timeout time.Duration, key string, opts ...clientv3.OpOption,
) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return client.Get(ctx, key, opts...)
}
