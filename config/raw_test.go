package config

import (
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// TestReferenceIsComplete expects reference.yaml to have every key of the raw types, with a comment that names the
// allowed values and the default.
func TestReferenceIsComplete(t *testing.T) {
	var document yaml.Node
	if err := yaml.Unmarshal(reference, &document); err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	addComments(comments, document.Content[0])
	fields := rawFields(reflect.TypeFor[rawConfig]())
	if len(fields) < 20 {
		t.Fatalf("only %d keys are found in the raw types", len(fields))
	}
	for _, field := range fields {
		key := field.Tag.Get("yaml")
		comment, ok := comments[key]
		if !ok {
			t.Errorf("the reference does not have the key %s", key)
		}
		for _, word := range strings.Fields(field.Tag.Get("oneof")) {
			if !strings.Contains(comment, word) {
				t.Errorf("the comment on %s does not name %s", key, word)
			}
		}
		if d := field.Tag.Get("default"); d != "" && !strings.Contains(comment, d+" (default") {
			t.Errorf("the comment on %s does not say that the default is %s", key, d)
		}
	}
}

// addComments collects the comments above and beside each key below n.
func addComments(comments map[string]string, n *yaml.Node) {
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			comments[child.Value] += child.HeadComment + n.Content[i+1].LineComment
		}
		addComments(comments, child)
	}
}

// rawFields returns every field with a yaml tag in t, and in the types of its fields.
func rawFields(t reflect.Type) []reflect.StructField {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return rawFields(t.Elem())
	case reflect.Struct:
	default:
		return nil
	}
	var fields []reflect.StructField
	for i := range t.NumField() {
		if field := t.Field(i); field.Tag.Get("yaml") != "" {
			fields = append(append(fields, field), rawFields(field.Type)...)
		}
	}
	return fields
}
