package cni

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// An owner is an interface of a container in a CNI network. The runtime tells these three for every command, even where
// it has lost everything else.
type owner struct {
	network, container, ifName string
}

// gatewayID is in place of an owner's id in the name of the gateway's allocation.
const gatewayID = "gateway"

// id returns a text without "/" that no other owner has. It begins as the container's ID does, for the operator.
func (o owner) id() string {
	short := o.container[:min(12, len(o.container))]
	return fmt.Sprintf("%s-%s", short, hash(o.network, o.container, o.ifName)[:16])
}

// name returns the name of the owner's allocation number n, from 0.
func (o owner) name(n int) string {
	if n == 0 {
		return prefix(o.network) + o.id()
	}
	return fmt.Sprintf("%s%s.%d", prefix(o.network), o.id(), n+1)
}

// prefix begins the names of all allocations of a CNI network. Several may use the same network of the fabric.
func prefix(network string) string { return "cni-" + hash(network)[:8] + "-" }

// idOf returns the id of the owner of an allocation in a CNI network, by its name.
func idOf(network, name string) (id string, ok bool) {
	id, ok = strings.CutPrefix(name, prefix(network))
	// The ID of a container may have dots, but the hash behind it has none.
	if end := strings.LastIndexByte(id, '-'); end >= 0 {
		last, _, _ := strings.Cut(id[end:], ".")
		id = id[:end] + last
	}
	return id, ok
}

// hash hashes texts of which none has a slash.
func hash(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "/")))
	return hex.EncodeToString(sum[:])
}
