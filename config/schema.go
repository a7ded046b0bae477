package config

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/arpfabric/arpfabric/examples"
	"gopkg.in/yaml.v3"
)

// A schema describes values in the words of JSON schema, draft 7: the one that all editors know.
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

// Schema returns the JSON schema of the YAML file. It refuses nothing that Load takes; Load refuses more, such as
// an address that is bound twice.
func Schema() []byte {
	text, err := json.MarshalIndent(newSchema(), "", "  ")
	if err != nil {
		panic("config: the schema: " + err.Error())
	}
	return append(text, '\n')
}

func newSchema() *schema {
	var reference yaml.Node
	if err := yaml.Unmarshal(examples.Reference, &reference); err != nil {
		panic("config: examples/reference.yaml: " + err.Error())
	}
	s := schemaOf(reflect.TypeFor[rawConfig](), "", entries{{value: reference.Content[0]}})
	s.Schema = "http://json-schema.org/draft-07/schema#"
	s.Title = "arpfabric's configuration"
	return s
}

// schemaOf describes one of the raw types: values of that format, of which the reference has examples.
func schemaOf(t reflect.Type, format string, in entries) *schema {
	switch {
	case t == reflect.TypeFor[value]():
		s := formats[format]
		return &s
	case t == reflect.TypeFor[rawRegistry]():
		return mapOf("addresses", schemaOf(t.Elem(), "", in.all()), in.all())
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
		return &schema{Type: []string{"array", "null"}, Items: schemaOf(t.Elem(), format, in.all())}
	}
	return structOf(t, in)
}

// structOf describes a mapping with the keys of a struct's yaml tags. All of them may be in comments.
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

// oneOf makes s take these words and nothing else.
func (s *schema) oneOf(words []string) {
	s.Type = nil
	for _, word := range words {
		s.Enum = append(s.Enum, spellings(word)...)
	}
}

// mapOf describes a mapping whose keys are of a format.
func mapOf(format string, element *schema, in entries) *schema {
	element.Description = in.description()
	return &schema{
		Type:                 []string{"object", "null"},
		PatternProperties:    map[string]*schema{formats[format].Pattern: element},
		AdditionalProperties: false,
	}
}

// spellings returns what YAML makes of a word, and the word itself where that is something else: false and "false".
func spellings(word string) []any {
	var v any
	if err := yaml.Unmarshal([]byte(word), &v); err != nil || v == word {
		return []any{word}
	}
	return []any{v, word}
}

// entries are examples of one value: all there are of it in the reference, each with its key where it has one.
type entries []struct{ key, value *yaml.Node }

// under returns what stands under a key of the mappings.
func (in entries) under(key string) entries {
	var found entries
	for _, e := range in.all() {
		if e.key.Value == key {
			found = append(found, e)
		}
	}
	return found
}

// all returns what stands under any key of the mappings.
func (in entries) all() entries {
	var found entries
	for _, e := range in {
		for i := 0; e.value.Kind == yaml.MappingNode && i < len(e.value.Content); i += 2 {
			found = append(found, struct{ key, value *yaml.Node }{e.value.Content[i], e.value.Content[i+1]})
		}
	}
	return found
}

// description returns the first comment that there is, as one paragraph.
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
