package bpf

import (
	"bytes"
	"errors"
	"os"
	"slices"

	"github.com/arpfabric/arpfabric/internal/link"
	"github.com/google/nftables"
)

// A detour tells why the frames from and to a port cross its bridge; "" if they may go past it. They cross it where others
// filter or watch what does.
type detour func(port string) (why string)

// detours returns the detour of all ports. found says what is attached to them.
func detours(found map[uint32]place, s link.Snapshot) detour {
	settings, err := link.ReadMemberSettings()
	switch {
	case err != nil:
		return always(err.Error())
	case hasLegacyEbtables():
		return always("tables of ebtables are loaded")
	case hasOthersTables(nftables.TableFamilyBridge, nftables.TableFamilyNetdev) || hasInetIngress():
		return always("nftables has tables of others for bridges or their members")
	}
	hasRulesForIP := hasLegacyIptables() || hasOthersTables(nftables.TableFamilyIPv4, nftables.TableFamilyINet)
	return func(name string) string {
		port, _ := s.Find(name)
		bridge := s.MasterOf(name)
		switch member, isMember := settings[port.Index]; {
		case hasRulesForIP && seesBridgedIP(bridge):
			return "rules for IPv4 see the frames in " + bridge + " (br_netfilter)"
		case !isMember || member.IsBlocked:
			return notForwarding
		case member.IsIsolated:
			return name + " is isolated in its bridge"
		case found[uint32(port.Index)].hasOthers:
			return "others have classifiers at tc ingress of " + name
		}
		return ""
	}
}

// notForwarding is the detour of a port whose frames the bridge does not forward either. It is nothing to tell people.
const notForwarding = "the port does not forward"

func always(why string) detour { return func(string) string { return why } }

// seesBridgedIP reports whether the rules for IPv4 see the frames that cross a bridge, by br_netfilter.
func seesBridgedIP(bridge string) bool {
	return isOn("/proc/sys/net/bridge/bridge-nf-call-iptables") || isOn("/sys/class/net/"+bridge+"/bridge/nf_call_iptables")
}

// hasLegacyIptables reports whether iptables(8) has loaded a table that nftables does not show. Only root may see which, so for
// the user of the service it returns true if there may be one.
func hasLegacyIptables() bool {
	names, err := os.ReadFile("/proc/net/ip_tables_names")
	return len(names) > 0 || err != nil && !errors.Is(err, os.ErrNotExist)
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

// hasOthersTables reports whether others have tables of nftables in one of some families. It returns true if it can't find
// out.
func hasOthersTables(families ...nftables.TableFamily) bool {
	c, err := nftables.New()
	if err != nil {
		return true
	}
	for _, family := range families {
		tables, err := c.ListTablesOfFamily(family)
		if err != nil || slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name != "arpfabric" }) {
			return true
		}
	}
	return false
}

// hasInetIngress reports whether tables of the family inet have chains at the hook of netdev's. It returns true if it can't
// find out.
func hasInetIngress() bool {
	const ingress = nftables.ChainHook(5) // NF_INET_INGRESS in linux/netfilter.h
	c, err := nftables.New()
	if err != nil {
		return true
	}
	chains, err := c.ListChainsOfTableFamily(nftables.TableFamilyINet)
	return err != nil || slices.ContainsFunc(chains, func(c *nftables.Chain) bool { return c.Hooknum != nil && *c.Hooknum == ingress })
}
