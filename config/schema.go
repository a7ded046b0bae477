package config

import (
	_ "embed"
	"encoding/json"
	"maps"
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"
)

// reference has every key, with a comment above or beside it that says what the key means. The schema and the table of
// keys in docs/configuration.md take their descriptions from these comments.
//
//go:embed reference.yaml
var reference []byte

// A schema is a JSON schema of draft 7, which all editors know.
type schema struct {
	Schema               string             `json:"$schema,omitempty"`
	Title                string             `json:"title,omitempty"`
	Description          string             `json:"description,omitempty"`
	Type                 []string           `json:"type,omitempty"`
	Enum                 []any              `json:"enum,omitempty"`
	Default              any                `json:"default,omitempty"`
	Pattern              string             `json:"pattern,omitempty"`
	Minimum              int                `json:"minimum,omitempty"`
	Maximum              int                `json:"maximum,omitempty"`
	Properties           map[string]*schema `json:"properties,omitempty"`
	PatternProperties    map[string]*schema `json:"patternProperties,omitempty"`
	AdditionalProperties any                `json:"additionalProperties,omitempty"` // nil or false
	Items                *schema            `json:"items,omitempty"`
	AllOf                []json.RawMessage  `json:"allOf,omitempty"`
	AnyOf                []*schema          `json:"anyOf,omitempty"`
	Not                  *schema            `json:"not,omitempty"`
}

// Schema returns the JSON schema of the YAML file. It accepts every file that Load accepts. Load finds more mistakes,
// such as an address that is bound twice.
func Schema() []byte {
	text, err := json.MarshalIndent(newSchema(), "", "  ")
	if err != nil {
		panic("config: the schema: " + err.Error())
	}
	return append(text, '\n')
}

func newSchema() *schema {
	var document yaml.Node
	if err := yaml.Unmarshal(reference, &document); err != nil {
		panic("config: reference.yaml: " + err.Error())
	}
	s := schemaOf(reflect.TypeFor[rawConfig](), "", entries{{value: document.Content[0]}})
	s.Schema = "http://json-schema.org/draft-07/schema#"
	s.Title = "arpfabric's configuration"
	return s
}

// schemaOf returns the schema of a raw type. format is that of its values, and in has its values in the reference.
func schemaOf(t reflect.Type, format string, in entries) *schema {
	switch {
	case t == reflect.TypeFor[value]():
		s := formats[format]
		return &s
	case t == reflect.TypeFor[rawRegistry]():
		addresses, macs := in.all().byKind()
		s := mapOf("addresses", schemaOf(t.Elem(), "", addresses), addresses)
		alone := mapOf("mac", schemaOf(reflect.TypeFor[rawAlone](), "", macs), macs)
		maps.Copy(s.PatternProperties, alone.PatternProperties)
		return s
	case t == reflect.TypeFor[rawBinding]():
		mac := formats["mac"]
		return &schema{AnyOf: []*schema{&mac, structOf(t, in)}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem(), format, in)
	case reflect.Map:
		return mapOf("network", schemaOf(t.Elem(), "", in.all()), in.all())
	case reflect.Slice:
		return &schema{Type: []string{"array", "null"}, Items: schemaOf(t.Elem(), format, in.items())}
	}
	return structOf(t, in)
}

// structOf returns the schema of a mapping with the keys of a struct's yaml tags. It may be null, which is how YAML
// reads a key whose whole mapping is commented out.
func structOf(t reflect.Type, in entries) *schema {
	s := &schema{Type: []string{"object", "null"}, AdditionalProperties: false, Properties: map[string]*schema{}}
	for key, i := range fieldsOf(t) {
		field, examples := t.Field(i), in.under(key)
		property := schemaOf(field.Type, field.Tag.Get("format"), examples)
		property.Description = examples.description()
		if words := strings.Fields(field.Tag.Get("oneof")); len(words) > 0 {
			property.oneOf(words)
		}
		if text := field.Tag.Get("default"); text != "" {
			property.Default = spellings(text)[0]
		}
		s.Properties[key] = property
	}
	for _, rule := range rules[t] {
		s.AllOf = append(s.AllOf, json.RawMessage(rule))
	}
	return s
}

// oneOf restricts s to these words.
func (s *schema) oneOf(words []string) {
	s.Type = nil
	for _, word := range words {
		s.Enum = append(s.Enum, spellings(word)...)
	}
}

// mapOf returns the schema of a mapping whose keys have a format.
func mapOf(format string, element *schema, in entries) *schema {
	element.Description = in.description()
	return &schema{
		Type:                 []string{"object", "null"},
		PatternProperties:    map[string]*schema{formats[format].Pattern: element},
		AdditionalProperties: false,
	}
}

// spellings returns a word's value in YAML and, if that is not a string, the word itself: false and "false".
func spellings(word string) []any {
	var v any
	if err := yaml.Unmarshal([]byte(word), &v); err != nil || v == word {
		return []any{word}
	}
	return []any{v, word}
}

// entries are the occurrences of one value in the reference, each with its key if it has one.
type entries []struct{ key, value *yaml.Node }

// under returns the values of a key in the mappings.
func (in entries) under(key string) entries {
	var found entries
	for _, e := range in.all() {
		if e.key.Value == key {
			found = append(found, e)
		}
	}
	return found
}

// all returns the values of all keys in the mappings.
func (in entries) all() entries {
	var found entries
	for _, e := range in {
		for i := 0; e.value.Kind == yaml.MappingNode && i < len(e.value.Content); i += 2 {
			found = append(found, struct{ key, value *yaml.Node }{e.value.Content[i], e.value.Content[i+1]})
		}
	}
	return found
}

// items returns the values in the lists.
func (in entries) items() entries {
	var found entries
	for _, e := range in {
		for _, item := range e.value.Content {
			found = append(found, struct{ key, value *yaml.Node }{item, item})
		}
	}
	return found
}

// byKind returns the entries of a registry whose keys have addresses, and those whose keys are MACs.
func (in entries) byKind() (addresses, macs entries) {
	for _, e := range in {
		if isMAC(e.key.Value) {
			macs = append(macs, e)
		} else {
			addresses = append(addresses, e)
		}
	}
	return addresses, macs
}

// description returns the first comment on the entries, as one paragraph.
func (in entries) description() string {
	for _, e := range in {
		var words []string
		for line := range strings.Lines(e.key.HeadComment + "\n" + e.value.LineComment) {
			words = append(words, strings.Fields(strings.TrimPrefix(line, "#"))...)
		}
		if len(words) > 0 {
			return strings.Join(words, " ")
		}
	}
	return ""
}
