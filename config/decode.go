package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// A custom type decodes its own node.
type custom interface {
	// decode fills the receiver from n, and reports whether it succeeded.
	decode(r *report, n *yaml.Node, at place) bool
}

// decode fills one of the raw types from n, and reports mistakes. It returns false if n has another type, so that nothing
// was filled.
func (r *report) decode(n *yaml.Node, at place, into reflect.Value) bool {
	if c, ok := into.Addr().Interface().(custom); ok {
		return c.decode(r, n, at)
	}
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		return r.decode(n, at, into.Elem())
	case reflect.Struct:
		return r.decodeStruct(n, at, into)
	case reflect.Map:
		return r.decodeMap(n, at, into)
	case reflect.Slice:
		return r.decodeList(n, at, into)
	}
	panic("config: no way to decode a " + into.Type().String())
}

// decodeStruct fills a struct of values from a mapping with the keys of its yaml tags.
func (r *report) decodeStruct(n *yaml.Node, at place, into reflect.Value) bool {
	fields := fieldsOf(into.Type())
	setDefaults(into) // first, because decoding overwrites the defaults
	self := into.Addr().Interface().(interface{ setPlace(place) })
	if !isMapping(n) {
		r.refuse(n, at, "a mapping with the keys "+joined(keys(fields), "and"))
		at.broken = true
		self.setPlace(at)
		return false
	}
	for _, pair := range r.pairs(n, at) {
		if i, known := fields[pair.key]; !known {
			at.broken = r.addUnknown(pair, fields) || at.broken
		} else if !r.decodeField(pair, into, i) {
			at.broken = true
		}
	}
	self.setPlace(at)
	return true
}

// decodeField fills field i of a struct. It returns false if the struct is broken: the field could not be read, and is a
// list or a map, which have no place to record that.
func (r *report) decodeField(p pair, into reflect.Value, i int) bool {
	field := into.Field(i)
	if !r.decode(p.value, p.place, field) {
		return field.Kind() != reflect.Slice && field.Kind() != reflect.Map
	}
	if v, ok := field.Addr().Interface().(*value); ok {
		r.checkOneOf(v, into.Type().Field(i).Tag.Get("oneof"))
	}
	return true
}

// decodeMap fills a map whose keys are names.
func (r *report) decodeMap(n *yaml.Node, at place, into reflect.Value) bool {
	if !isMapping(n) {
		r.refuse(n, at, "a mapping")
		return false
	}
	into.Set(reflect.MakeMap(into.Type()))
	for _, pair := range r.pairs(n, at) {
		element := reflect.New(into.Type().Elem()).Elem()
		r.decode(pair.value, pair.place, element)
		into.SetMapIndex(reflect.ValueOf(pair.key), element)
	}
	return true
}

func (r *report) decodeList(n *yaml.Node, at place, into reflect.Value) bool {
	if n.Kind != yaml.SequenceNode && !isNull(n) {
		r.refuse(n, at, "a list, like [a, b]")
		return false
	}
	into.Set(reflect.MakeSlice(into.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		r.decode(item, at.item(i, item.Line), into.Index(i))
	}
	return true
}

// decode reads the text of any scalar as it is written in the file. It ignores the type that YAML gives to an unquoted
// 12, yes or 12:34:56:12:34:56.
func (v *value) decode(r *report, n *yaml.Node, at place) bool {
	at.line = n.Line
	switch {
	case n.Kind != yaml.ScalarNode:
		r.refuse(n, at, "one value")
		at.broken = true
	case isNull(n):
		r.add(at, "no value")
		at.broken = true
	default:
		v.text = n.Value
	}
	v.place = at
	return !at.broken
}

// A pair is one key of a mapping and its value.
type pair struct {
	key string
	place
	value *yaml.Node
}

// pairs returns a mapping's pairs, each key once, and reports duplicate keys. The YAML library's own check for duplicates
// compares every key with every other, which takes too long for large registries.
func (r *report) pairs(n *yaml.Node, at place) []pair {
	list := make([]pair, 0, len(n.Content)/2)
	lines := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		where := at.key(key.Value, key.Line)
		switch {
		case key.Kind == yaml.AliasNode || isMerge(key): // reported by parseYAML
		case key.Kind != yaml.ScalarNode:
			r.add(place{line: key.Line, path: at.path}, "a key must be one value, not %s", kindOf(key))
		case lines[key.Value] > 0:
			r.add(where, "duplicate key, first in line %d", lines[key.Value])
		default:
			lines[key.Value] = key.Line
			list = append(list, pair{key.Value, where, n.Content[i+1]})
		}
	}
	return list
}

// isMapping reports whether n is a mapping. A missing value counts as an empty mapping, because all of its keys may be
// commented out.
func isMapping(n *yaml.Node) bool { return n.Kind == yaml.MappingNode || isNull(n) }

// refuse reports that n has the wrong type.
func (r *report) refuse(n *yaml.Node, at place, want string) {
	if n.Kind != yaml.AliasNode { // reported by parseYAML
		r.add(at, "want %s, not %s", want, kindOf(n))
	}
}

func (r *report) checkOneOf(v *value, oneof string) {
	words := strings.Fields(oneof)
	if len(words) == 0 || slices.Contains(words, v.text) {
		return
	}
	v.broken = true
	r.add(v.place, "want %s, not %s", joined(words, "or"), quote(v.text))
}

// addUnknown reports an unknown key. It returns true if the key is probably a misspelt one, so that the key it was
// meant to be is not reported as missing.
func (r *report) addUnknown(p pair, fields map[string]int) (misspelled bool) {
	best := nearest(p.key, keys(fields))
	if best != "" {
		r.add(p.place, "unknown key; did you mean %s?", best)
	} else {
		r.add(p.place, "unknown key; the keys here are %s", joined(keys(fields), "and"))
	}
	return best != ""
}

// fieldsOf returns the index of each field by its yaml tag.
func fieldsOf(t reflect.Type) map[string]int {
	fields := make(map[string]int, t.NumField())
	for i := range t.NumField() {
		if tag := t.Field(i).Tag.Get("yaml"); tag != "" {
			fields[tag] = i
		}
	}
	return fields
}

// setDefaults sets the values in a struct, and in the structs in it, to their defaults.
func setDefaults(into reflect.Value) {
	for _, i := range fieldsOf(into.Type()) {
		field := into.Field(i)
		if v, ok := field.Addr().Interface().(*value); ok {
			v.text = into.Type().Field(i).Tag.Get("default")
		} else if field.Kind() == reflect.Struct {
			setDefaults(field)
		}
	}
}

func keys(fields map[string]int) []string { return slices.Sorted(maps.Keys(fields)) }

// joined returns "debug, info, warn or error". It needs at least two words.
func joined(words []string, conjunction string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " " + conjunction + " " + words[last]
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return "one value"
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }
