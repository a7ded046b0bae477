package etcd

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/internal/store"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// keys are the keys below a prefix.
type keys string

// layout is the version of the keys' layout.
const layout = "/v1/"

func (k keys) under(name string) string { return string(k) + layout + name + "/" }

func (k keys) addresses() string { return k.under("addresses") }

func (k keys) address(network string, addr netip.Addr) string {
	return k.addresses() + network + "/" + addr.String()
}

// mac returns the beginning of the keys of a MAC: there is one for each address that has it.
func (k keys) mac(network string, mac registry.MAC) string {
	return k.under("macs") + network + "/" + mac.String() + "/"
}

func (k keys) name(network, name string) string { return k.under("names") + network + "/" + name }

// history returns the beginning of the keys of a network's history, or of all.
func (k keys) history(network string) string {
	if network == "" {
		return k.under("history")
	}
	return k.under("history") + network + "/"
}

// change returns the key of a change in the history. The keys sort by time.
func (k keys) change(network, host string, at time.Time) string {
	return k.historyBefore(network, at) + "-" + host
}

// historyBefore returns the end of the keys of the changes before a time.
func (k keys) historyBefore(network string, at time.Time) string {
	return fmt.Sprintf("%s%020d", k.history(network), at.UnixNano())
}

// parseAddress parses the key of an address.
func (k keys) parseAddress(key string) (store.Address, error) {
	network, text, _ := strings.Cut(strings.TrimPrefix(key, k.addresses()), "/")
	addr, err := netip.ParseAddr(text)
	if err != nil || !addr.Is4() || network == "" {
		return store.Address{}, fmt.Errorf("the key %s does not end in a network and an IPv4 address", key)
	}
	return store.Address{Network: strings.Clone(network), Addr: addr}, nil
}

// parseState parses the value of an address, and returns the change after which it is so.
func (k keys) parseState(key, value string, revision int64) (store.Change, error) {
	at, err := k.parseAddress(key)
	if err != nil {
		return store.Change{}, err
	}
	c, err := store.ParseState(value)
	if err == nil && (c.Network != at.Network || c.Address != at.Addr) {
		err = fmt.Errorf("its value is about %s in network %s", c.Address, c.Network)
	}
	if err != nil {
		return c, fmt.Errorf("the key %s: %w", key, err)
	}
	c.Revision = uint64(revision)
	return c, nil
}
