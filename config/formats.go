package config

import "reflect"

// anyScalar is what a value without a format may be: the decoder takes the text of any scalar.
var anyScalar = []string{"string", "number", "boolean"}

// Regular expressions of the parts that formats are made of.
const (
	octet = `(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])`
	// hostOctet is the first one of an address that a host can have: not 0, 127, or 224 and up.
	hostOctet = `(22[0-3]|2[01][0-9]|1[013-9][0-9]|12[0-689]|[1-9][0-9]|[1-9])`
	octets    = `(\.` + octet + `){3}`
	host      = hostOctet + octets
	length    = `/(3[0-2]|[12]?[0-9])`
	hexByte   = `[0-9A-Fa-f]{2}`
	unicast   = `[0-9A-Fa-f][02468ACEace]`
	// vlanID is 1 to 4094.
	vlanID = `(409[0-4]|40[0-8][0-9]|[1-3][0-9]{3}|[1-9][0-9]{0,2})`
)

// formats is what values look like, by the format tags of the raw types, and "network" and "addresses", which are
// keys. A format may take what convert.go refuses, as far as there is no better way to say it: an interface's name is
// counted in bytes there, not in characters.
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
	"interface": {
		Type:    anyScalar,
		Pattern: `^[^\x00-\x20/:%\x7f]{1,15}$`,
		Not:     &schema{Enum: []any{".", ".."}},
	},
	"file": {Type: anyScalar, Pattern: `^[^\x00-\x1f\x7f-\x9f]+$`},
	"vlan": {
		Type:    []string{"integer", "string"},
		Minimum: 1, Maximum: 4094,
		Pattern: `^0*` + vlanID + `$`,
	},
	"socket": {Type: []string{"string"}, Pattern: `^(off|/.*)$`},
	"group":  {Type: anyScalar, Pattern: groupName.String()},
	"listen": {Type: []string{"string"}, Pattern: `^(off|.*:0*[1-9][0-9]{0,4})$`},
	"rate": {
		Type:    []string{"integer", "string"},
		Minimum: 1, Maximum: mostFrames,
		Pattern: `^(off|0*(100000000|[1-9][0-9]{0,7}))$`,
	},
}

// rules is what the fields of a raw type don't say: what is required, and what goes with what.
var rules = map[reflect.Type][]string{
	reflect.TypeFor[rawConfig](): {
		`{"type": "object", "required": ["networks"], "properties": {"networks": {"type": "object", "minProperties": 1}}}`,
	},
	reflect.TypeFor[rawNetwork](): {
		`{"type": "object", "required": ["attach"]}`,
		needsBinding, portNeedsBridge, guardNeedsBridge, sidecarNeedsGuard,
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
	reflect.TypeFor[rawTAP]():     {`{"type": "object", "required": ["name"]}`},
	reflect.TypeFor[rawBinding](): {`{"type": "object", "required": ["mac"]}`},
}

const (
	needsBinding = `{"anyOf": [
		{"required": ["registry"], "properties": {"registry": {"type": "object", "minProperties": 1}}},
		{"required": ["registry_files"], "properties": {"registry_files": {"type": "array", "minItems": 1}}},
		{"required": ["allow_empty"], "properties": {"allow_empty": {"enum": [true, "true"]}}}
	]}`
	portNeedsBridge = `{
		"if": {"properties": {"attach": {"not": {"required": ["bridge"]}}}},
		"then": {"properties": {"registry": {"additionalProperties": {"properties": {"port": false}}}}}
	}`
	guardNeedsBridge = `{
		"if": {"properties": {"attach": {"anyOf": [
			{"required": ["interface"]},
			{"required": ["tap"], "properties": {"tap": {"not": {"required": ["bridge"]}}}}
		]}}},
		"then": {"properties": {"policy": {"properties": {
			"guard": false, "ipv6": false, "rate_limit": false, "on_stop": false
		}}}}
	}`
	sidecarNeedsGuard = `{
		"if": {"properties": {"attach": {"required": ["sidecar"]}}},
		"then": {"properties": {"policy": {"properties": {"guard": {"enum": ["full", "arp"]}}}}}
	}`
)
