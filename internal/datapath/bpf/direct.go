package bpf

import (
	"bytes"
	"os"
	"slices"

	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/google/nftables"
)

// directPorts returns a function that tells whether frames may be sent from and to a port past its bridge. They may not
// where others filter or watch what crosses the bridge.
func directPorts(found map[uint32]place, s link.Snapshot) func(port string) bool {
	if othersFilterBridges() {
		return func(string) bool { return false }
	}
	settings, err := link.ReadMemberSettings()
	if err != nil {
		return func(string) bool { return false }
	}
	return func(name string) bool {
		port, ok := s.Find(name)
		if !ok {
			return false
		}
		member, isMember := settings[port.Index]
		return isMember && !member.IsIsolated && !member.IsBlocked && !found[uint32(port.Index)].hasOthers
	}
}

// othersFilterBridges reports whether rules of others may look at frames that cross a bridge.
func othersFilterBridges() bool {
	return isOn("/proc/sys/net/bridge/bridge-nf-call-iptables") || hasLegacyEbtables() || hasOthersTables()
}

func isOn(sysctl string) bool {
	text, err := os.ReadFile(sysctl)
	return err == nil && !bytes.HasPrefix(text, []byte("0"))
}

// hasLegacyEbtables reports whether a table of ebtables(8) is loaded. nftables does not show these.
func hasLegacyEbtables() bool {
	modules, err := os.ReadFile("/proc/modules")
	return err == nil && slices.ContainsFunc([]string{"ebtable_filter ", "ebtable_nat ", "ebtable_broute "}, func(module string) bool {
		return bytes.Contains(modules, []byte(module))
	})
}

// hasOthersTables reports whether there are tables of nftables, of others, that may filter frames of bridges or their
// members. It returns true if it can't find out.
func hasOthersTables() bool {
	c, err := nftables.New()
	if err != nil {
		return true
	}
	for _, family := range []nftables.TableFamily{nftables.TableFamilyBridge, nftables.TableFamilyNetdev} {
		tables, err := c.ListTablesOfFamily(family)
		if err != nil || slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name != "arpfabric" }) {
			return true
		}
	}
	return false
}
