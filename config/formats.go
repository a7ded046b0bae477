package config

import "reflect"

// anyScalar are the types of a value without a format. The decoder reads the text of any scalar.
var anyScalar = []string{"string", "number", "boolean"}

// Regular expressions for the parts of formats.
const (
	octet = `(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])`
	// hostOctet is the first octet of an address that a host can have: not 0, 127, or 224 and higher.
	hostOctet = `(22[0-3]|2[01][0-9]|1[013-9][0-9]|12[0-689]|[1-9][0-9]|[1-9])`
	octets    = `(\.` + octet + `){3}`
	host      = hostOctet + octets
	length    = `/(3[0-2]|[12]?[0-9])`
	hexByte   = `[0-9A-Fa-f]{2}`
	unicast   = `[0-9A-Fa-f][02468ACEace]`
	// vlanID is 1 to 4094.
	vlanID = `(409[0-4]|40[0-8][0-9]|[1-3][0-9]{3}|[1-9][0-9]{0,2})`
)

// formats are the schemas of values, by the format tags of the raw types; "network" and "addresses" are the schemas of
// keys. A format may accept a value that convert.go rejects, if a schema cannot express the rule: convert.go counts the
// bytes of an interface's name, a schema its characters.
var formats = map[string]schema{
	"":          {Type: anyScalar},
	"network":   {Pattern: networkName.String()},
	"addresses": {Pattern: `^` + host + `(-` + host + `|` + length + `)?$`},
	"address":   {Type: []string{"string"}, Pattern: `^` + host + `$`},
	"prefix":    {Type: []string{"string"}, Pattern: `^` + octet + octets + length + `$`},
	"mac": {
		Type: []string{"string"},
		Pattern: `^` + unicast + `((:` + hexByte + `){5}|(-` + hexByte + `){5}|` +
			hexByte + `(\.` + hexByte + hexByte + `){2})$`,
		Not: &schema{Pattern: `^[0:.-]*$`},
	},
	"range": {Type: []string{"string"}, Pattern: `^` + host + `(-` + host + `|` + length + `)?$`},
	"macpattern": {
		Type:    []string{"string"},
		Pattern: `^` + unicast + `(:(` + hexByte + `|\*)){5}$`,
		Not:     &schema{Pattern: `^[^*]*$`},
	},
	"duration": {Type: []string{"string"}, Pattern: `^([0-9]+(\.[0-9]*)?(ns|us|ms|s|m|h))+$`},
	"interface": {
		Type:    anyScalar,
		Pattern: `^[^\x00-\x20/:%\x7f]{1,15}$`,
		Not:     &schema{Enum: []any{".", ".."}},
	},
	"file":      {Type: anyScalar, Pattern: `^[^\x00-\x1f\x7f-\x9f]+$`},
	"url":       {Type: []string{"string"}, Pattern: `^https?://[^/@]+:[0-9]+/*$`},
	"keyprefix": {Type: anyScalar, Pattern: `^/`},
	"host":      {Type: anyScalar, Pattern: networkName.String()},
	"docker":    {Type: anyScalar, Pattern: dockerName.String()},
	"path":      {Type: []string{"string"}, Pattern: `^/[^\x00-\x1f\x7f-\x9f]*$`},
	"vlan": {
		Type:    []string{"integer", "string"},
		Minimum: 1, Maximum: 4094,
		Pattern: `^0*` + vlanID + `$`,
	},
	"vni":    {Type: []string{"integer", "string"}, Minimum: 1, Maximum: highestVNI, Pattern: `^0*[1-9][0-9]{0,7}$`},
	"socket": {Type: []string{"string"}, Pattern: `^(off|/.*)$`},
	"group":  {Type: anyScalar, Pattern: groupName.String()},
	"listen": {Type: []string{"string"}, Pattern: `^(off|.*:0*[1-9][0-9]{0,4})$`},
	"rate": {
		Type:    []string{"integer", "string"},
		Minimum: 1, Maximum: mostFrames,
		Pattern: `^(off|0*(100000000|[1-9][0-9]{0,7}))$`,
	},
}

// rules are the rules that the fields of a raw type do not express: required keys, and keys that depend on each other.
var rules = map[reflect.Type][]string{
	reflect.TypeFor[rawConfig](): {
		`{"type": "object", "required": ["networks"], "properties": {"networks": {"type": "object", "minProperties": 1}}}`,
	},
	reflect.TypeFor[rawEtcd](): {
		`{
			"type": "object",
			"required": ["endpoints"],
			"properties": {"endpoints": {"type": "array", "minItems": 1}},
			"dependencies": {"user": ["password_file"], "password_file": ["user"]}
		}`,
	},
	reflect.TypeFor[rawOverlay](): {`{"type": "object", "required": ["device", "vni", "local"]}`},
	reflect.TypeFor[rawTLS]():     {`{"dependencies": {"cert": ["key"], "key": ["cert"]}}`},
	reflect.TypeFor[rawNetwork](): {
		`{"type": "object", "required": ["attach"]}`,
		needsBinding, portNeedsBridge, overlayNeedsBridge, guardNeedsBridge, sidecarNeedsGuard, unknownTargetNeedsUplink,
	},
	reflect.TypeFor[rawAttach](): {
		`{
			"type": "object",
			"oneOf": [
				{"required": ["bridge"]}, {"required": ["tap"]}, {"required": ["interface"]}, {"required": ["sidecar"]}
			],
			"if": {"not": {"required": ["bridge"]}},
			"then": {"properties": {"vlan": false, "uplinks": {"items": false}}}
		}`,
	},
	reflect.TypeFor[rawSource](): {
		`{
			"type": "object",
			"oneOf": [
				{"required": ["dnsmasq_leases"]}, {"required": ["kea_leases"]}, {"required": ["isc_leases"]},
				{"required": ["libvirt_status"]}, {"required": ["docker"]}
			],
			"if": {"not": {"required": ["docker"]}},
			"then": {"properties": {"socket": false}}
		}`,
	},
	reflect.TypeFor[rawPage](): {
		`{
			"if": {"required": ["listen"], "properties": {"listen": {"not": {"const": "off"}}}},
			"then": {
				"if": {"not": {"required": ["token_file"]}},
				"then": {"properties": {"listen": {"pattern": "^((127\\.[0-9.]+|localhost|\\[.*\\]):.*)$"}}}
			},
			"else": {"properties": {"token_file": false}}
		}`,
	},
	reflect.TypeFor[rawTAP](): {`{"type": "object", "required": ["name"]}`},
	reflect.TypeFor[rawBinding](): {
		`{
			"type": "object",
			"oneOf": [{"required": ["mac"]}, {"required": ["macs"], "properties": {"macs": {"type": "array", "minItems": 2}}}]
		}`,
	},
}

const (
	needsBinding = `{"anyOf": [
		{"required": ["registry_dir"]},
		{"required": ["sources"], "properties": {"sources": {"type": "array", "minItems": 1}}},
		{"required": ["registry"], "properties": {"registry": {"type": "object", "minProperties": 1}}},
		{"required": ["registry_files"], "properties": {"registry_files": {"type": "array", "minItems": 1}}},
		{"required": ["allow_empty"], "properties": {"allow_empty": {"enum": [true, "true"]}}}
	]}`
	portNeedsBridge = `{
		"if": {"properties": {"attach": {"not": {"required": ["bridge"]}}}},
		"then": {"properties": {"registry": {"additionalProperties": {"properties": {"port": false}}}}}
	}`
	overlayNeedsBridge = `{
		"if": {"properties": {"attach": {"required": ["bridge"], "properties": {"vlan": false}}}},
		"else": {"properties": {"overlay": false}}
	}`
	guardNeedsBridge = `{
		"if": {"properties": {"attach": {"anyOf": [
			{"required": ["interface"]},
			{"required": ["tap"], "properties": {"tap": {"not": {"required": ["bridge"]}}}}
		]}}},
		"then": {"properties": {"policy": {"properties": {
			"guard": false, "dhcp": false, "ipv6": false, "forward": false, "rate_limit": false, "on_stop": false
		}}}}
	}`
	sidecarNeedsGuard = `{
		"if": {"properties": {"attach": {"required": ["sidecar"]}}},
		"then": {"properties": {"policy": {"properties": {"guard": {"enum": ["full", "arp"]}}}}}
	}`
	unknownTargetNeedsUplink = `{
		"if": {"properties": {"attach": {"required": ["uplinks"], "properties": {"uplinks": {"type": "array", "minItems": 1}}}}},
		"else": {"properties": {"policy": {"properties": {"unknown_target": {"const": "drop"}}}}}
	}`
)
