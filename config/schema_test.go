package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"gopkg.in/yaml.v3"
)

// go test ./config -update writes what is made of the raw types and of the reference.
var update = flag.Bool("update", false, "write the schema and the table of keys anew")

func TestSchemaFile(t *testing.T) {
	expectFile(t, "../examples/arpfabric.schema.json", Schema())
}

// TestTableOfKeys holds the table that ends docs/configuration.md against the schema.
func TestTableOfKeys(t *testing.T) {
	const path, heading = "../docs/configuration.md", "| key | what it is |\n|---|---|\n"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(page), heading)
	var table strings.Builder
	eachKey("", reflect.TypeFor[rawConfig](), newSchema(), func(key string, s *schema) {
		fmt.Fprintf(&table, "| `%s` | %s |\n", key, strings.ReplaceAll(s.Description, "|", `\|`))
	})
	expectFile(t, path, []byte(before+heading+table.String()))
}

// expectFile holds a file of the repository against what it is made of.
func expectFile(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is out of date (%v): run go test ./config -update", path, err)
	}
}

func TestSchemaTakesExamples(t *testing.T) {
	examples, err := filepath.Glob("../examples/*.yaml")
	if err != nil || len(examples) < 7 {
		t.Fatalf("%d examples (%v)", len(examples), err)
	}
	for _, path := range examples {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(t, data); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// beyondSchema is what Load says of what a schema can't find wrong, with the reason why it can't.
var beyondSchema = []struct{ problem, why string }{
	{`^this is not YAML|^a second YAML document|^this key is here twice|nested deeper`, "the text, not what it says"},
	{`are not supported: write`, "anchors, aliases, merge keys and tags are resolved before a schema is looked at"},
	{`^a key is one value`, "JSON has no such keys"},
	{` already, in line | is listed twice, |the address is bound twice|it overlaps `, "compares values"},
	{`subnet 10\.239\.0\.0/24|has no binding, so no guest`, "looks addresses up in others"},
	{`its range ends before|has bits of a host set|^127\.0\.0\.0 is in 127\.0\.0\.0/8`, "counts"},
	{`it has 16 bytes|there is a '\\u00a0' in it`, "counts characters, not bytes"},
	{`^\S+: (the file can't be read|this is a directory|this is not a regular)|^there is no binding in `, "other files"},
}

// TestSchemaRefusesProblems holds the schema against what Load finds in testdata/problems: it refuses the
// same places, but for what is beyond any schema.
func TestSchemaRefusesProblems(t *testing.T) {
	folders, err := filepath.Glob("testdata/problems/*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("nothing in testdata/problems (%v)", err)
	}
	said, needed := 0, make([]bool, len(beyondSchema))
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Chdir(folder)
			refused := refusedPaths(t, "lab.yaml")
			for _, p := range problemsIn("lab.yaml") {
				switch i := indexBeyond(p); {
				case refused[p.Path] || refused[""]:
					said++
				case i < 0:
					t.Errorf("the schema has nothing against %s", p)
				default:
					needed[i] = true
				}
			}
		})
	}
	if said < 100 {
		t.Errorf("only %d problems were found with the schema", said)
	}
	for i, b := range beyondSchema {
		if !needed[i] {
			t.Errorf("nothing is beyond the schema as in %s", b.problem)
		}
	}
}

// problemsIn returns the problems that Load finds in a YAML file itself.
func problemsIn(path string) []Problem {
	var all, here Problems
	_, err := Load(path)
	errors.As(err, &all)
	for _, p := range all {
		if p.File == path {
			here = append(here, p)
		}
	}
	return here
}

func indexBeyond(p Problem) int {
	for i, b := range beyondSchema {
		if regexp.MustCompile(b.problem).MatchString(p.Message) {
			return i
		}
	}
	return -1
}

// refusedPaths returns the paths of what the schema refuses in a YAML file, in the words of a Problem.
func refusedPaths(t *testing.T, path string) map[string]bool {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var wrong *jsonschema.ValidationError
	if !errors.As(validate(t, data), &wrong) {
		return nil
	}
	refused := map[string]bool{}
	addRefused(refused, wrong, jsonOf(data))
	return refused
}

func addRefused(refused map[string]bool, wrong *jsonschema.ValidationError, document any) {
	for _, cause := range wrong.Causes {
		addRefused(refused, cause, document)
	}
	at := placeOf(wrong.InstanceLocation, document)
	switch k := wrong.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			refused[at.key(name, 1).path] = true
		}
	case *kind.Required:
		refused[at.path] = true
		for _, name := range k.Missing {
			refused[at.key(name, 1).path] = true
		}
	default:
		if len(wrong.Causes) == 0 {
			refused[at.path] = true
		}
	}
}

func placeOf(location []string, document any) place {
	var at place
	for _, name := range location {
		switch v := document.(type) {
		case map[string]any:
			at, document = at.key(name, 1), v[name]
		case []any:
			i, _ := strconv.Atoi(name)
			at, document = at.item(i, 1), v[i]
		}
	}
	return at
}

func TestEveryKeyIsDescribed(t *testing.T) {
	n := 0
	eachKey("", reflect.TypeFor[rawConfig](), newSchema(), func(key string, s *schema) {
		n++
		if s.Description == "" {
			t.Errorf("examples/reference.yaml has no comment on %s", key)
		}
	})
	if n < 25 {
		t.Errorf("only %d keys", n)
	}
}

// eachKey calls f with the schema of each key in the order of the raw types. NAME and ADDRESSES stand for keys
// that the user chooses.
func eachKey(path string, t reflect.Type, s *schema, f func(key string, s *schema)) {
	element := func(key string) {
		for _, element := range s.PatternProperties {
			f(path+key, element)
			eachKey(path+key+".", t.Elem(), element, f)
		}
	}
	switch {
	case t == reflect.TypeFor[rawRegistry]():
		element("ADDRESSES")
	case t == reflect.TypeFor[rawBinding]():
		eachField(path, t, s.AnyOf[1], f)
	case t.Kind() == reflect.Pointer:
		eachKey(path, t.Elem(), s, f)
	case t.Kind() == reflect.Map:
		element("NAME")
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

var compiled = sync.OnceValues(func() (*jsonschema.Schema, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("arpfabric.schema.json", document); err != nil {
		return nil, err
	}
	return c.Compile("arpfabric.schema.json")
})

// validate holds a YAML file against the schema, as an editor does.
func validate(t *testing.T, data []byte) error {
	t.Helper()
	s, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(jsonOf(data))
}

// jsonOf returns what an editor makes of a YAML file: nothing where it is none.
func jsonOf(data []byte) any {
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil || len(document.Content) == 0 {
		return nil
	}
	return jsonOfNode(document.Content[0])
}

func jsonOfNode(n *yaml.Node) any {
	switch n.Kind {
	case yaml.AliasNode:
		return jsonOfNode(n.Alias)
	case yaml.MappingNode:
		mapping := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			mapping[n.Content[i].Value] = jsonOfNode(n.Content[i+1])
		}
		return mapping
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			list[i] = jsonOfNode(item)
		}
		return list
	}
	return jsonOfScalar(n)
}

// jsonOfScalar returns a number, true, false or null as such, and the text of anything else.
func jsonOfScalar(n *yaml.Node) any {
	var v any = n.Value
	switch n.Tag {
	case "!!int", "!!bool", "!!null":
		if n.Decode(&v) != nil {
			return n.Value
		}
	}
	return v
}
