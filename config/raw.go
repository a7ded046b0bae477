package config

// The types in this file mirror the YAML file: a field for each key, named by its yaml tag, with the
// values it may have (oneof) and the one it has when nothing is written (default). The decoder fills
// them; they become the typed Config in convert.go.

// A value is a scalar, as it is written.
type value struct {
	place
	text string
}

type rawConfig struct {
	place
	Networks map[string]*rawNetwork `yaml:"networks"`
	Log      rawLog                 `yaml:"log"`
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
	Subnet        value       `yaml:"subnet"`
	Gateway       value       `yaml:"gateway"`
	Registry      rawRegistry `yaml:"registry"`
	RegistryFiles []value     `yaml:"registry_files"`
	AllowEmpty    value       `yaml:"allow_empty" oneof:"false true" default:"false"`
	Policy        rawPolicy   `yaml:"policy"`
}

type rawAttach struct {
	place
	Bridge    value   `yaml:"bridge"`
	Uplinks   []value `yaml:"uplinks"`
	TAP       *rawTAP `yaml:"tap"`
	Interface value   `yaml:"interface"`
}

type rawTAP struct {
	place
	Name   value `yaml:"name"`
	Bridge value `yaml:"bridge"`
}

// A rawRegistry holds the bindings in the order of the file. It is no map: an address that is written
// twice has to be seen, and there may be very many.
type rawRegistry []rawBinding

// A rawBinding is one key of a registry and what stands under it: a mapping of the fields with a tag, or
// the MAC alone.
type rawBinding struct {
	place
	addresses value
	MAC       value `yaml:"mac"`
	Name      value `yaml:"name"`
	Port      value `yaml:"port"`
}

// guard and on_stop apply to attachments with a bridge only.
type rawPolicy struct {
	place
	SelfProbe        value `yaml:"self_probe" oneof:"answer drop" default:"answer"`
	UnallocatedProbe value `yaml:"unallocated_probe" oneof:"drop deny" default:"drop"`
	Sender           value `yaml:"sender" oneof:"strict any" default:"strict"`
	Guard            value `yaml:"guard" oneof:"arp none" default:"arp"`
	Inform           value `yaml:"inform" oneof:"true false" default:"true"`
	OnStop           value `yaml:"on_stop" oneof:"release hold" default:"release"`
}
