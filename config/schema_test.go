package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"gopkg.in/yaml.v3"
)

// go test ./config -update writes the files that are generated from the raw types and reference.yaml.
var update = flag.Bool("update", false, "write the schema and the table of keys again")

func TestSchemaFile(t *testing.T) {
	expectFile(t, "arpfabric.schema.json", Schema())
}

// TestTableOfKeys compares the table at the end of docs/configuration.md with the schema.
func TestTableOfKeys(t *testing.T) {
	const path, heading = "../docs/configuration.md", "| key | meaning |\n|---|---|\n"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(page), heading)
	var table strings.Builder
	for _, key := range Keys() {
		fmt.Fprintf(&table, "| `%s` | %s |\n", key.Path, strings.ReplaceAll(key.Meaning, "|", `\|`))
	}
	expectFile(t, path, []byte(before+heading+table.String()))
}

// expectFile expects a generated file in the repository to be up to date.
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
	for _, path := range examples(t) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(t, data); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// beyondSchema are the messages of Load for mistakes that a schema cannot find, with the reason why not.
var beyondSchema = []struct{ problem, why string }{
	{`^invalid YAML|^a second YAML document|^duplicate key|nested deeper`, "the schema sees the values, not the text"},
	{`^"0\d+" has a leading zero`, "the schema sees the number, not how it is written"},
	{`are not supported: write`, "anchors, aliases, merge keys and tags are resolved before the schema is applied"},
	{`^a key must be one value`, "JSON has only strings as keys"},
	{` is already | is listed twice, | is listed twice$|the address is bound twice|the MAC is bound alone twice|overlaps `, "compares several values"},
	{`subnet 10\.239\.0\.0/24|has no binding, so guests`, "compares addresses with ranges"},
	{`from 0s to 720h, not "721h"$|from 5s to 1h, not "2s"$`, "compares durations"},
	{`the range ends before|has host bits set|has no address that a host can have|^127\.0\.0\.0 is in 127\.0\.0\.0/8`, "compares numbers"},
	{`^00:00:00:00:00:00 is not a unicast MAC`, "a pattern of keys has no exceptions"},
	{`it has 16 bytes|it contains '\\u00a0'`, "a schema counts characters, not bytes"},
	{`^an overlay needs store\.etcd`, "a schema of a network does not see the store"},
	{`does not use tls: write https$`, "a schema does not compare a list with another key"},
	{`^\S+: (cannot read the file|a directory|not a regular file)|^no bindings in `, "needs other files"},
}

// TestSchemaRefusesProblems expects the schema to reject the places of the problems that Load finds in testdata/problems,
// except for those beyond a schema.
func TestSchemaRefusesProblems(t *testing.T) {
	folders, err := filepath.Glob("testdata/problems/*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("nothing in testdata/problems (%v)", err)
	}
	rejected, needed := 0, make([]bool, len(beyondSchema))
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Chdir(folder)
			refused := refusedPaths(t, "lab.yaml")
			for _, p := range problemsIn("lab.yaml") {
				switch i := indexBeyond(p); {
				case refused[p.Path] || refused[""]:
					rejected++
				case i < 0:
					t.Errorf("the schema does not reject %s", p)
				default:
					needed[i] = true
				}
			}
		})
	}
	if rejected < 100 {
		t.Errorf("the schema rejected only %d problems", rejected)
	}
	for i, b := range beyondSchema {
		if !needed[i] {
			t.Errorf("no problem matches %s", b.problem)
		}
	}
}

// problemsIn returns the problems that Load finds in the YAML file, not in the files that it names.
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

// refusedPaths returns the paths of the values that the schema rejects in a YAML file, in the form of Problem.Path.
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
	keys := Keys()
	for _, key := range keys {
		if key.Meaning == "" {
			t.Errorf("reference.yaml has no comment on %s", key.Path)
		}
	}
	if len(keys) < 25 {
		t.Errorf("only %d keys", len(keys))
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

// validate validates a YAML file by the schema, as an editor does.
func validate(t *testing.T, data []byte) error {
	t.Helper()
	s, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(jsonOf(data))
}

// jsonOf converts a YAML file to JSON values, as an editor does. It returns nil if the file is not YAML.
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
