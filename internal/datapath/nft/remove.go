package nft

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// removeTable deletes a table. It is no error if there is none, or if the kernel does not support tables of its family.
func removeTable(t *nftables.Table, options ...nftables.ConnOption) error {
	c, err := nftables.New(options...)
	if err != nil {
		return removeError(err)
	}
	c.AddTable(t) // because to delete a table that is not there is an error
	c.DelTable(t)
	return removeError(c.Flush())
}

func removeError(err error) error {
	switch {
	case err == nil, errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT):
		return nil
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("removing the guard: not permitted to change nftables; run as root or with CAP_NET_ADMIN: %w", err)
	}
	return fmt.Errorf("removing the guard: %w", err)
}

// Parts implements [datapath.Datapath].
func (d *Datapath) Parts() []string {
	var parts []string
	if d.bridges.IsThere() {
		parts = append(parts, bridgePart)
	}
	if d.sidecars.IsThere() {
		parts = append(parts, sidecarPart)
	}
	return parts
}

// Remove implements [datapath.Datapath].
func (d *Datapath) Remove() error {
	restored := d.restoreBridges() // first, because the table remembers the settings
	removed := d.bridges.Remove()
	if errors.Is(removed, unix.EPERM) {
		return removed // the other table would only say the same
	}
	return errors.Join(restored, removed, d.sidecars.Remove())
}
