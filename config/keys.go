package config

import "reflect"

// Key is a key of the YAML file.
type Key struct {
	Path    string // "networks.NAME.mode"; NAME, ADDRESSES and MAC represent keys that the user chooses
	Meaning string // the comment in reference.yaml
}

// Keys returns all keys, in the order of the raw types.
func Keys() []Key {
	var all []Key
	eachKey("", reflect.TypeFor[rawConfig](), newSchema(), func(path string, s *schema) {
		all = append(all, Key{path, s.Description})
	})
	return all
}

// Reference returns reference.yaml, a configuration that has every key, with comments.
func Reference() string { return string(reference) }

// eachKey calls f with the schema of each key.
func eachKey(path string, t reflect.Type, s *schema, f func(key string, s *schema)) {
	element := func(key, format string, t reflect.Type) {
		element := s.PatternProperties[formats[format].Pattern]
		f(path+key, element)
		eachKey(path+key+".", t, element, f)
	}
	switch {
	case t == reflect.TypeFor[rawRegistry]():
		element("ADDRESSES", "addresses", t.Elem())
		element("MAC", "mac", reflect.TypeFor[rawAlone]())
	case t == reflect.TypeFor[rawBinding]():
		eachField(path, t, s.AnyOf[1], f)
	case t.Kind() == reflect.Pointer:
		eachKey(path, t.Elem(), s, f)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct && t.Elem() != reflect.TypeFor[value]():
		eachKey(path, t.Elem(), s.Items, f)
	case t.Kind() == reflect.Map:
		element("NAME", "network", t.Elem())
	case t.Kind() == reflect.Struct:
		eachField(path, t, s, f)
	}
}

func eachField(path string, t reflect.Type, s *schema, f func(key string, s *schema)) {
	for i := range t.NumField() {
		if key := t.Field(i).Tag.Get("yaml"); key != "" {
			f(path+key, s.Properties[key])
			eachKey(path+key+".", t.Field(i).Type, s.Properties[key], f)
		}
	}
}
