package nft

import (
	"encoding/binary"
	"errors"
	"slices"
	"sync"

	"github.com/arpfabric/arpfabric/internal/watch"
	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// watchRuleset subscribes to changes of the two tables.
func (d *Datapath) watchRuleset() (*watch.Watcher, error) {
	return watch.New("the nftables ruleset", d.changed, d.bridges.changes.receive, unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
}

// tableChanges tracks the changes of the table of bridges, by the kernel's notifications.
type tableChanges struct {
	mu      sync.Mutex
	sockets [64]uint32 // the netlink addresses (netlink(7): nl_pid) of our last transactions
	next    int        // number of addresses added to sockets so far

	// The transaction whose notifications are being received.
	relevant bool // it changes a table of our name
	foreign  bool // it changes the table of bridges, and another process has committed it

	foreignGeneration uint32 // generation of the last foreign transaction; 0 for none
	replaced          uint32 // generation at which we have last replaced the whole table
}

// sockBuffer is the size of the socket's buffers, in bytes, and so of the largest transaction. The kernel does not
// allocate it in advance.
const sockBuffer = 1 << 30

// noteSocket records the address of a socket for a transaction. It is a socket option of the nftables package, which
// leaves it to the option to set the buffers.
func (c *tableChanges) noteSocket(conn *netlink.Conn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var addr unix.Sockaddr
	var problem error
	err = raw.Control(func(fd uintptr) { addr, problem = unix.Getsockname(int(fd)) })
	if err := errors.Join(err, problem, conn.SetReadBuffer(sockBuffer), conn.SetWriteBuffer(sockBuffer)); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sockets[c.next%len(c.sockets)] = addr.(*unix.SockaddrNetlink).Pid
	c.next++
	return nil
}

// receive processes a notification of nftables. The kernel sends one for each change in a transaction, and then one
// with the new generation. On the latter, receive reports whether the transaction has changed a table of our name, of
// any family.
func (c *tableChanges) receive(m netlink.Message) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.Header.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWGEN {
		return c.end(generationIn(m))
	}
	if isAboutTables(m) {
		isOwn := slices.Contains(c.sockets[:min(c.next, len(c.sockets))], m.Header.PID)
		c.foreign = c.foreign || !isOwn && m.Data[0] == byte(nftables.TableFamilyBridge)
		c.relevant = true
	}
	return false
}

// end ends a transaction, and reports whether it was relevant.
func (c *tableChanges) end(generation uint32) (relevant bool) {
	if c.foreign && isAfter(generation, c.replaced) {
		c.foreignGeneration = generation
	}
	relevant = c.relevant
	c.relevant, c.foreign = false, false
	return relevant
}

// replace discards the changes of other processes up to a generation, because a transaction of ours replaces the table.
func (c *tableChanges) replace(generation uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replaced, c.foreignGeneration = generation, 0
}

// byOthers reports whether another process has changed the table since the last call.
func (c *tableChanges) byOthers() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed := c.foreignGeneration != 0
	c.foreignGeneration = 0
	return changed
}

// isAfter reports whether generation a comes after b. It allows for the number to wrap around.
func isAfter(a, b uint32) bool { return int32(a-b) > 0 }

// nfgenLen is the length of the struct nfgenmsg at the start of a message of nftables, in bytes: a byte for the family,
// one for the version, and two for the resource ID (linux/netfilter/nfnetlink.h).
const nfgenLen = 4

// generationIn returns the generation in a message, or 0.
func generationIn(m netlink.Message) (generation uint32) {
	if len(m.Data) < nfgenLen {
		return 0
	}
	ad, err := netlink.NewAttributeDecoder(m.Data[nfgenLen:])
	if err != nil {
		return 0
	}
	ad.ByteOrder = binary.BigEndian
	for ad.Next() {
		if ad.Type() == unix.NFTA_GEN_ID {
			generation = ad.Uint32()
		}
	}
	return generation
}

// isAboutTables reports whether a message is about a table of our name, or about its contents. The name of the table is
// the first attribute of every such message (linux/netfilter/nf_tables.h).
func isAboutTables(m netlink.Message) bool {
	const tableName = 1
	if len(m.Data) < nfgenLen {
		return false
	}
	ad, err := netlink.NewAttributeDecoder(m.Data[nfgenLen:])
	if err != nil {
		return true // an unneeded check does no harm
	}
	for ad.Next() {
		if ad.Type() == tableName && ad.String() == TableName {
			return true
		}
	}
	return false
}
