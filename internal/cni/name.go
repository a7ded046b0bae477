package cni

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// A scope is a CNI network on one host. Others may use the same network of the fabric, and the same store.
type scope struct {
	host, network string
}

// An owner is an interface of a container. The runtime tells its container and name for every command, even where it has
// lost everything else.
type owner struct {
	scope
	container, ifName string
}

// gatewayID is in place of an owner's id in the name of the gateway's allocation.
const gatewayID = "gateway"

// id returns a text that no other owner has. It begins as the container's ID does, for the operator.
func (o owner) id() string {
	short := o.container[:min(12, len(o.container))]
	return fmt.Sprintf("%s-%s", short, hash(o.host, o.network, o.container, o.ifName)[:16])
}

// name returns the name of the owner's allocation number n, from 0.
func (o owner) name(n int) string {
	if n == 0 {
		return o.prefix() + o.id()
	}
	return fmt.Sprintf("%s%s.%d", o.prefix(), o.id(), n+1)
}

// prefix begins the names of all allocations of the scope.
func (s scope) prefix() string { return "cni-" + hash(s.host, s.network)[:8] + "-" }

// idOf returns the id of the owner of an allocation by its name, if the owner is in the scope.
func (s scope) idOf(name string) (id string, ok bool) {
	id, ok = strings.CutPrefix(name, s.prefix())
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
