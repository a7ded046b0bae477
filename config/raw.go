package config

// The types in this file mirror the YAML file. They have a field for each key, named by its yaml tag, with its allowed
// values (oneof), its format (see formats.go) and its default. The decoder fills them, and convert.go converts them to
// the typed Config. reference.yaml documents each key.

// A value is a scalar as it is written in the file.
type value struct {
	place
	text string
}

type rawConfig struct {
	place
	Networks map[string]*rawNetwork `yaml:"networks"`
	API      rawAPI                 `yaml:"api"`
	Metrics  rawMetrics             `yaml:"metrics"`
	Page     rawPage                `yaml:"page"`
	Log      rawLog                 `yaml:"log"`
	Store    rawStore               `yaml:"store"`
	Datapath value                  `yaml:"datapath" oneof:"auto kernel user" default:"auto"`
}

type rawAPI struct {
	place
	Socket  value `yaml:"socket" format:"socket" default:"/run/arpfabric/api.sock"`
	Group   value `yaml:"group" format:"group"`
	Writers value `yaml:"writers" format:"group"`
}

type rawStore struct {
	place
	Folder value    `yaml:"folder" format:"file" default:"/var/lib/arpfabric"`
	Etcd   *rawEtcd `yaml:"etcd"`
}

type rawEtcd struct {
	place
	Endpoints    []value `yaml:"endpoints" format:"url"`
	TLS          rawTLS  `yaml:"tls"`
	User         value   `yaml:"user"`
	PasswordFile value   `yaml:"password_file" format:"file"`
	Prefix       value   `yaml:"prefix" format:"keyprefix" default:"/arpfabric"`
	Host         value   `yaml:"host" format:"host"`
	Lease        value   `yaml:"lease" format:"duration" default:"60s"`
	AllowEmpty   value   `yaml:"allow_empty" oneof:"false true" default:"false"`
}

type rawTLS struct {
	place
	CA   value `yaml:"ca" format:"file"`
	Cert value `yaml:"cert" format:"file"`
	Key  value `yaml:"key" format:"file"`
}

type rawMetrics struct {
	place
	Listen value `yaml:"listen" format:"listen" default:"off"`
}

type rawPage struct {
	place
	Listen    value `yaml:"listen" format:"listen" default:"off"`
	TokenFile value `yaml:"token_file" format:"file"`
}

type rawLog struct {
	place
	Level  value `yaml:"level" oneof:"debug info warn error" default:"info"`
	Format value `yaml:"format" oneof:"text json" default:"text"`
}

type rawNetwork struct {
	place
	Mode          value         `yaml:"mode" oneof:"vpc classic" default:"vpc"`
	Attach        *rawAttach    `yaml:"attach"`
	Subnet        value         `yaml:"subnet" format:"prefix"`
	Gateway       value         `yaml:"gateway" format:"address"`
	Registry      rawRegistry   `yaml:"registry"`
	RegistryFiles []value       `yaml:"registry_files" format:"file"`
	RegistryDir   value         `yaml:"registry_dir" format:"file"`
	HostsFiles    []value       `yaml:"hosts_files" format:"file"`
	Sources       []rawSource   `yaml:"sources"`
	AllowEmpty    value         `yaml:"allow_empty" oneof:"false true" default:"false"`
	Policy        rawPolicy     `yaml:"policy"`
	Allocation    rawAllocation `yaml:"allocation"`
	Overlay       *rawOverlay   `yaml:"overlay"`
}

// A rawSource has one of its keys, and docker may have a socket.
type rawSource struct {
	place
	DnsmasqLeases value `yaml:"dnsmasq_leases" format:"file"`
	KeaLeases     value `yaml:"kea_leases" format:"file"`
	ISCLeases     value `yaml:"isc_leases" format:"file"`
	LibvirtStatus value `yaml:"libvirt_status" format:"file"`
	Docker        value `yaml:"docker" format:"docker"`
	Socket        value `yaml:"socket" format:"path" default:"/run/docker.sock"`
}

type rawAllocation struct {
	place
	From     value   `yaml:"from" format:"range"`
	Reserved []value `yaml:"reserved" format:"range"`
	MAC      value   `yaml:"mac" format:"macpattern"`
	Hold     value   `yaml:"hold" format:"duration" default:"10m"`
}

type rawOverlay struct {
	place
	Device value `yaml:"device" format:"interface"`
	VNI    value `yaml:"vni" format:"vni"`
	Local  value `yaml:"local" format:"address"`
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

// A rawRegistry holds the bindings in the order of the file. It is not a map, because duplicate addresses must be
// reported, and there may be very many.
type rawRegistry []rawBinding

// A rawBinding is one key of a registry and its value. If the key has addresses, the value is a mapping with the tagged
// fields, or only the MAC. If the key is a MAC, the value is a rawAlone, and MAC is the key.
type rawBinding struct {
	place
	isAlone bool
	key     value
	MAC     value   `yaml:"mac" format:"mac"`
	MACs    []value `yaml:"macs" format:"mac"`
	Name    value   `yaml:"name"`
	Port    value   `yaml:"port" format:"interface"`
	Routes  []value `yaml:"routes" format:"prefix"`
}

// A rawAlone is the value of a key that is a MAC: a binding of the MAC alone.
type rawAlone struct {
	place
	Name   value   `yaml:"name"`
	Port   value   `yaml:"port" format:"interface"`
	Routes []value `yaml:"routes" format:"prefix"`
}

// A rawPolicy is a network's policy. dhcp, ipv6, guard, forward, rate_limit and on_stop apply only to attachments with a guard.
type rawPolicy struct {
	place
	SelfProbe        value `yaml:"self_probe" oneof:"answer drop" default:"answer"`
	UnallocatedProbe value `yaml:"unallocated_probe" oneof:"drop deny" default:"drop"`
	UnknownTarget    value `yaml:"unknown_target" oneof:"drop uplink" default:"drop"`
	Sender           value `yaml:"sender" oneof:"strict any" default:"strict"`
	DHCP             value `yaml:"dhcp" oneof:"registered open" default:"registered"`
	IPv6             value `yaml:"ipv6" oneof:"drop pass" default:"drop"`
	Guard            value `yaml:"guard" oneof:"full arp none" default:"full"`
	Forward          value `yaml:"forward" oneof:"auto bridge" default:"auto"`
	RateLimit        value `yaml:"rate_limit" format:"rate" default:"10000"`
	Inform           value `yaml:"inform" oneof:"true false" default:"true"`
	OnStop           value `yaml:"on_stop" oneof:"release hold" default:"release"`
}
