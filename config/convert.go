package config

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"

	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// A converter converts the raw configuration to the typed one.
type converter struct {
	*report
	dir  string                    // the folder of the YAML file
	uses map[string][]interfaceUse // by the interface's name
}

// convert returns a Config, which is valid only if no problem was reported.
func (r *report) convert(raw *rawConfig) *Config {
	c := converter{report: r, dir: filepath.Dir(r.file), uses: map[string][]interfaceUse{}}
	if len(raw.Networks) == 0 && !raw.broken {
		c.add(place{line: raw.line, path: "networks"}, "no networks; a configuration needs at least one")
	}
	config := &Config{Path: r.file, API: c.api(raw.API), Metrics: c.metrics(raw.Metrics), Page: c.page(raw.Page), Log: toLog(raw.Log),
		Store: c.store(raw.Store), Datapath: Datapath(raw.Datapath.text)}
	for _, name := range inFileOrder(raw.Networks) {
		config.Networks = append(config.Networks, c.network(name, raw.Networks[name]))
	}
	c.checkOverlays(raw, config.Store)
	config.guardTunnels()
	config.Files, config.Digest = r.read, sha256.Sum256(r.digests)
	slices.SortFunc(config.Networks, func(a, b Network) int { return cmp.Compare(a.Name, b.Name) })
	return config
}

// inFileOrder returns the names of the networks in the order of the file, so that the later of two networks in conflict
// is reported.
func inFileOrder(networks map[string]*rawNetwork) []string {
	return slices.SortedFunc(maps.Keys(networks), func(a, b string) int {
		return cmp.Or(cmp.Compare(networks[a].line, networks[b].line), cmp.Compare(a, b))
	})
}

func toLog(raw rawLog) Log {
	return Log{Level: logLevels[raw.Level.text], Format: LogFormat(raw.Format.text)}
}

var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug,
	"info":  slog.LevelInfo,
	"warn":  slog.LevelWarn,
	"error": slog.LevelError,
}

var networkName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)

func (c *converter) network(name string, raw *rawNetwork) Network {
	if !networkName.MatchString(name) {
		c.add(raw.place, "%s is not a valid network name: want 1 to 63 letters, digits, '-', '_' and '.', "+
			"starting with a letter or digit", quote(name))
	}
	n := Network{
		Name:   name,
		Origin: c.origin(raw.place),
		Mode:   Mode(raw.Mode.text),
		Attach: c.attachment(raw),
		Subnet: c.subnet(raw.Subnet),
		Policy: toPolicy(raw.Policy),
		Inform: raw.Policy.Inform.text == "true",

		PolicyOrigins: c.policyOrigins(raw.Policy),
	}
	c.overlay(&n, raw)
	if raw.Attach.hasNoGuard() {
		c.refuseGuard(raw.Policy)
		n.Guard, n.OnStop = GuardNone, Release
	} else {
		n.Guard, n.OnStop = Guard(raw.Policy.Guard.text), OnStop(raw.Policy.OnStop.text)
		n.RateLimit = c.rateLimit(raw.Policy.RateLimit)
		n.ThroughBridge = raw.Policy.Forward.text == "bridge"
		c.checkSidecarGuard(raw)
	}
	c.checkUnknownTarget(raw)
	// The registry comes last: it checks bindings against the subnet and the gateway.
	n.Gateway = c.gateway(raw.Gateway, n.Subnet)
	n.Policy.Gateway = n.Gateway
	n.Registry = c.registry(&n, raw)
	n.Sources = c.sources(raw.Sources)
	n.Allocation = c.allocation(raw.Allocation, n.Subnet)
	return n
}

func (c *converter) subnet(raw value) netip.Prefix {
	if !raw.readable() {
		return netip.Prefix{}
	}
	prefix, err := parsePrefix(raw.text)
	if err != nil {
		c.add(raw.place, "%s", err)
	}
	return prefix
}

func (c *converter) gateway(raw value, subnet netip.Prefix) netip.Addr {
	if !raw.readable() {
		return netip.Addr{}
	}
	addr, err := parseAddress(raw.text)
	if err == nil && subnet.IsValid() {
		err = checkInSubnet(subnet, addr, addr)
	}
	if err != nil {
		c.add(raw.place, "%s", err)
		return netip.Addr{}
	}
	return addr
}

// DenyMAC is the MAC in answers to probes for addresses without a binding, with the policy `unallocated_probe: deny`.
// It is unicast and locally administered (IEEE 802-2014, 8.4.4), and no host has it: 02, then "ARPFB".
var DenyMAC = registry.MAC{0x02, 'A', 'R', 'P', 'F', 'B'}

func toPolicy(raw rawPolicy) responder.Policy {
	p := responder.Policy{
		AnySender:       raw.Sender.text == "any",
		IgnoreSelfProbe: raw.SelfProbe.text == "drop",
		PassIPv6:        raw.IPv6.text == "pass",
		OpenDHCP:        raw.DHCP.text == "open",

		UnknownToUplinks: raw.UnknownTarget.text == "uplink",
	}
	if raw.UnallocatedProbe.text == "deny" {
		p.DenyMAC = DenyMAC
	}
	return p
}

func (r *report) origin(at place) registry.Origin {
	return registry.Origin{Source: r.file, Line: at.line}
}

// policyOrigins returns the places of the keys of a policy that are written.
func (r *report) policyOrigins(raw rawPolicy) map[string]registry.Origin {
	origins := map[string]registry.Origin{}
	policy := reflect.ValueOf(raw)
	for key, i := range fieldsOf(policy.Type()) {
		if v, ok := policy.Field(i).Interface().(value); ok && v.written() {
			origins[key] = r.origin(v.place)
		}
	}
	return origins
}

// refuseGuard reports the keys for a guard in a network that has none.
func (c *converter) refuseGuard(raw rawPolicy) {
	for _, v := range []value{raw.DHCP, raw.IPv6, raw.Guard, raw.Forward, raw.RateLimit, raw.OnStop} {
		if v.written() {
			c.add(v.place, "this network has no guard: only a network on a bridge or a sidecar has one")
		}
	}
}

// checkSidecarGuard reports a sidecar without a guard: its guest's requests arrive through the guard.
func (c *converter) checkSidecarGuard(raw *rawNetwork) {
	if guard := raw.Policy.Guard; raw.Attach != nil && raw.Attach.Sidecar.written() && guard.text == string(GuardNone) {
		c.add(guard.place, "a sidecar needs its guard, which delivers the guest's requests to arpfabric: want full or arp")
	}
}

// checkUnknownTarget reports unknown_target: uplink in a network without uplinks.
func (c *converter) checkUnknownTarget(raw *rawNetwork) {
	target := raw.Policy.UnknownTarget
	if target.text == "uplink" && raw.Attach != nil && !raw.Attach.broken && len(raw.Attach.Uplinks) == 0 {
		c.add(target.place, "this network has no uplinks: list them under attach.uplinks, on a bridge")
	}
}

// mostFrames is the highest rate limit, in frames a second. It is more than a port can send.
const mostFrames = 100_000_000

func (c *converter) rateLimit(raw value) uint32 {
	if raw.broken || raw.text == off {
		return 0
	}
	return uint32(c.number(raw, 1, mostFrames,
		fmt.Sprintf("the number of ARP frames a second that a port may send, 1 to %d, or off", mostFrames)))
}
