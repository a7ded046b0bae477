package etcd

import (
	"context"

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

// pageSize is the number of keys that are read at once.
const pageSize = 10_000

// readAll reads all addresses.
func readAll(ctx context.Context, client *clientv3.Client, k keys) (*list, error) {
	l, now := &list{table: store.NewTable()}, now()
	end := clientv3.GetPrefixRangeEnd(k.addresses())
	for key := k.addresses(); ; {
		page, err := readPage(ctx, client, key, end, l.revision)
		if err != nil {
			return nil, err
		}
		if l.revision == 0 { // the other pages have the same
			l.revision, l.cluster = page.Header.Revision, page.Header.ClusterId
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

func readPage(ctx context.Context, client *clientv3.Client, key, end string, revision int64) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return client.Get(ctx, key, clientv3.WithRange(end), clientv3.WithLimit(pageSize), clientv3.WithRev(revision))
}
