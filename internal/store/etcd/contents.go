package etcd

import (
	"context"
	"fmt"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/store"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Contents are the allocations in etcd at one time, for an export or an import.
type Contents struct {
	config *config.Etcd
	client *clientv3.Client
	table  *store.Table
}

// MostAdded is the most changes that Add takes at once: etcd takes 128 operations in a transaction.
const MostAdded = 32

// Connect reads all allocations.
func Connect(ctx context.Context, c *config.Etcd) (*Contents, error) {
	client, err := connect(ctx, c)
	if err != nil {
		return nil, explain(err, c)
	}
	l, err := readAll(ctx, client, keys(c.Prefix))
	if err != nil {
		client.Close()
		if reason := diagnose(ctx, c); isTimeout(err) && reason != nil {
			return nil, reason
		}
		return nil, explain(err, c)
	}
	if len(l.problems) > 0 {
		client.Close()
		return nil, fmt.Errorf("repair this first, with etcdctl: %w", l.problems[0])
	}
	return &Contents{c, client, l.table}, nil
}

// Table returns the allocations.
func (c *Contents) Table() *store.Table { return c.table }

// Close closes the connection.
func (c *Contents) Close() error { return c.client.Close() }

// Add adds allocations and held addresses that etcd does not have. They are not in the history.
func (c *Contents) Add(ctx context.Context, changes []store.Change) error {
	var t transaction
	k := keys(c.config.Prefix)
	for _, one := range changes {
		address := k.address(one.Network, one.Address)
		t.ifAbsent(address)
		t.puts = append(t.puts, clientv3.OpPut(address, store.FormatState(one)))
		if one.Kind != store.Allocate {
			continue
		}
		t.puts = append(t.puts, clientv3.OpPut(k.mac(one.Network, one.MAC)+one.Address.String(), one.Address.String()))
		if one.Name != "" {
			t.ifAbsent(k.name(one.Network, one.Name))
			t.puts = append(t.puts, clientv3.OpPut(k.name(one.Network, one.Name), one.Address.String()))
		}
	}
	resp, err := c.client.Txn(ctx).If(t.conditions...).Then(t.puts...).Commit()
	if err != nil {
		return explainChange(err, c.config)
	}
	if !resp.Succeeded {
		return fmt.Errorf("%w; import again", store.ErrConflict)
	}
	return nil
}
