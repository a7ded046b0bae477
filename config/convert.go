package config

import (
	"cmp"
	"log/slog"
	"maps"
	"net/netip"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"

	"github.com/arpfabric/arpfabric/responder"
)

// A converter makes the typed Config of the raw one.
type converter struct {
	*report
	dir    string   // of the YAML file
	files  []string // that were read besides
	claims map[string][]claim
}

// convert returns a Config that is good for something only if no problem was reported.
func (r *report) convert(raw *rawConfig) *Config {
	c := converter{report: r, dir: filepath.Dir(r.file), claims: map[string][]claim{}}
	if len(raw.Networks) == 0 && !raw.broken {
		c.add(place{line: raw.line, path: "networks"}, "there is no network: a configuration needs at least one")
	}
	config := &Config{Path: r.file, API: c.api(raw.API), Metrics: c.metrics(raw.Metrics), Log: toLog(raw.Log)}
	for _, name := range inFileOrder(raw.Networks) {
		config.Networks = append(config.Networks, c.network(name, raw.Networks[name]))
	}
	config.Files = append([]string{r.file}, c.files...)
	slices.SortFunc(config.Networks, func(a, b Network) int { return cmp.Compare(a.Name, b.Name) })
	return config
}

// inFileOrder returns the names of the networks so that of two that want the same thing, the later one
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
		c.add(raw.place, "%s can't be a network's name: want 1 to 63 letters, digits, '-', '_' and '.', "+
			"a letter or digit first", quote(name))
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
	if raw.Attach.hasNoGuard() {
		c.refuseGuard(raw.Policy)
		n.Guard, n.OnStop = GuardNone, Release
	} else {
		n.Guard, n.OnStop = Guard(raw.Policy.Guard.text), OnStop(raw.Policy.OnStop.text)
		n.RateLimit = c.rateLimit(raw.Policy.RateLimit)
		c.checkSidecarGuard(raw)
	}
	n.Gateway = c.gateway(raw.Gateway, n.Subnet)
	n.Registry = c.registry(&n, raw)
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

// DenyMAC answers probes for addresses without a binding where the policy is `unallocated_probe: deny`.
// It is unicast and locally administered (IEEE 802-2014, 8.4.4), and no host has it: 02, then "ARPFB".
var DenyMAC = responder.MAC{0x02, 'A', 'R', 'P', 'F', 'B'}

func toPolicy(raw rawPolicy) responder.Policy {
	p := responder.Policy{
		AnySender:       raw.Sender.text == "any",
		IgnoreSelfProbe: raw.SelfProbe.text == "drop",
		PassIPv6:        raw.IPv6.text == "pass",
	}
	if raw.UnallocatedProbe.text == "deny" {
		p.DenyMAC = DenyMAC
	}
	return p
}

func (r *report) origin(at place) responder.Origin {
	return responder.Origin{File: r.file, Line: at.line}
}

// policyOrigins returns where the keys of a policy are written.
func (r *report) policyOrigins(raw rawPolicy) map[string]responder.Origin {
	origins := map[string]responder.Origin{}
	policy := reflect.ValueOf(raw)
	for key, i := range fieldsOf(policy.Type()) {
		if v, ok := policy.Field(i).Interface().(value); ok && v.written() {
			origins[key] = r.origin(v.place)
		}
	}
	return origins
}

// refuseGuard reports what is written about a guard where there is none.
func (c *converter) refuseGuard(raw rawPolicy) {
	for _, v := range []value{raw.IPv6, raw.Guard, raw.RateLimit, raw.OnStop} {
		if v.written() {
			c.add(v.place, "there is no guard here: only a bridge and a sidecar have one, and this network is attached to neither")
		}
	}
}

// checkSidecarGuard reports a sidecar without a guard: the guard is how it hears what its guest asks.
func (c *converter) checkSidecarGuard(raw *rawNetwork) {
	if guard := raw.Policy.Guard; raw.Attach != nil && raw.Attach.Sidecar.written() && guard.text == string(GuardNone) {
		c.add(guard.place, "a sidecar needs its guard, which hands it what its guest asks: want full or arp")
	}
}

// mostFrames is the highest rate limit: more frames than a port can send in a second.
const mostFrames = 100_000_000

func (c *converter) rateLimit(raw value) uint32 {
	if raw.broken || raw.text == off {
		return 0
	}
	frames, err := strconv.ParseUint(raw.text, 10, 32)
	if err != nil || frames < 1 || frames > mostFrames {
		c.add(raw.place, "want the ARP frames that a port may send in a second, 1 to %d, or off, not %s", mostFrames, quote(raw.text))
	}
	return uint32(frames)
}
