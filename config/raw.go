package config

// The types in this file mirror the YAML file: a field for each key, named by its yaml tag, with the
// values it may have (oneof), what they look like (format, in schema.go) and the one it has when nothing is
// written (default). The decoder fills them; they become the typed Config in convert.go. What each key means
// is said in examples/reference.yaml.

// A value is a scalar, as it is written.
type value struct {
	place
	text string
}

type rawConfig struct {
	place
	Networks map[string]*rawNetwork `yaml:"networks"`
	API      rawAPI                 `yaml:"api"`
	Metrics  rawMetrics             `yaml:"metrics"`
	Log      rawLog                 `yaml:"log"`
}

type rawAPI struct {
	place
	Socket value `yaml:"socket" format:"socket" default:"/run/arpfabric/api.sock"`
	Group  value `yaml:"group" format:"group"`
}

type rawMetrics struct {
	place
	Listen value `yaml:"listen" format:"listen" default:"off"`
}

type rawLog struct {
	place
	Level  value `yaml:"level" oneof:"debug info warn error" default:"info"`
	Format value `yaml:"format" oneof:"text json" default:"text"`
}

type rawNetwork struct {
	place
	Mode          value       `yaml:"mode" oneof:"vpc classic" default:"vpc"`
	Attach        *rawAttach  `yaml:"attach"`
	Subnet        value       `yaml:"subnet" format:"prefix"`
	Gateway       value       `yaml:"gateway" format:"address"`
	Registry      rawRegistry `yaml:"registry"`
	RegistryFiles []value     `yaml:"registry_files" format:"file"`
	AllowEmpty    value       `yaml:"allow_empty" oneof:"false true" default:"false"`
	Policy        rawPolicy   `yaml:"policy"`
}

type rawAttach struct {
	place
	Bridge    value   `yaml:"bridge" format:"interface"`
	VLAN      value   `yaml:"vlan" format:"vlan"`
	Uplinks   []value `yaml:"uplinks" format:"interface"`
	TAP       *rawTAP `yaml:"tap"`
	Interface value   `yaml:"interface" format:"interface"`
	Sidecar   value   `yaml:"sidecar" format:"interface"`
}

type rawTAP struct {
	place
	Name   value `yaml:"name" format:"interface"`
	Bridge value `yaml:"bridge" format:"interface"`
}

// A rawRegistry holds the bindings in the order of the file. It is no map: an address that is written
// twice has to be seen, and there may be very many.
type rawRegistry []rawBinding

// A rawBinding is one key of a registry and what stands under it: a mapping of the fields with a tag, or
// the MAC alone.
type rawBinding struct {
	place
	addresses value
	MAC       value `yaml:"mac" format:"mac"`
	Name      value `yaml:"name"`
	Port      value `yaml:"port" format:"interface"`
}

// ipv6, guard, rate_limit and on_stop apply to attachments with a guard only.
type rawPolicy struct {
	place
	SelfProbe        value `yaml:"self_probe" oneof:"answer drop" default:"answer"`
	UnallocatedProbe value `yaml:"unallocated_probe" oneof:"drop deny" default:"drop"`
	Sender           value `yaml:"sender" oneof:"strict any" default:"strict"`
	IPv6             value `yaml:"ipv6" oneof:"drop pass" default:"drop"`
	Guard            value `yaml:"guard" oneof:"full arp none" default:"full"`
	RateLimit        value `yaml:"rate_limit" format:"rate" default:"10000"`
	Inform           value `yaml:"inform" oneof:"true false" default:"true"`
	OnStop           value `yaml:"on_stop" oneof:"release hold" default:"release"`
}
