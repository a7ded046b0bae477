package api

import (
	"bytes"
	stdcmp "cmp"
	"context"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/arping"
	"github.com/arpfabric/arpfabric/internal/build"
	"github.com/arpfabric/arpfabric/internal/check"
	"github.com/arpfabric/arpfabric/internal/explain"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/replay"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var update = flag.Bool("update", false, "write docs/openapi.json again")

const descriptionFile = "../../docs/openapi.json"

// TestDescription checks that docs/openapi.json is valid and matches the routes and the types.
// `go test ./internal/api -run Description -update` writes it.
func TestDescription(t *testing.T) {
	data, err := json.MarshalIndent(describe(t), "", "  ")
	labtest.Must(t, err)
	want := string(data) + "\n"
	if *update {
		labtest.Must(t, os.WriteFile(descriptionFile, []byte(want), 0o644))
	}
	got, err := os.ReadFile(descriptionFile)
	labtest.Must(t, err)
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/openapi.json is not up to date; write it with\n"+
			"go test ./internal/api -run Description -update\n(-want +got)\n%s", diff)
	}
	labtest.Must(t, load(t).Validate(context.Background()))
}

func load(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(descriptionFile)
	labtest.Must(t, err)
	return doc
}

// object is a JSON object.
type object map[string]any

func describe(t *testing.T) object {
	t.Helper()
	s := schemas{words: readWords(t), components: object{}}
	problem := s.of(reflect.TypeFor[Problem]())
	paths := object{}
	for _, r := range routes {
		operation := object{
			"operationId": stdcmp.Or(r.id, operations.Replace(r.path)),
			"summary":     r.summary,
			"parameters":  append(append(inPath(r.path), parameters("query", r.query)...), parameters("header", r.headers)...),
			"responses": object{
				"200":     response("the answer", r.media, s.of(r.answer)),
				"default": response("the error of a request that failed", mediaProblem, problem),
			},
		}
		if r.body != nil {
			content := object{mediaJSON: object{"schema": s.of(r.body)}}
			operation["requestBody"] = object{"required": true, "content": content}
		}
		item, _ := paths[r.path].(object)
		if item == nil {
			item = object{}
			paths[r.path] = item
		}
		item[strings.ToLower(r.method)] = operation
	}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "arpfabric", "version": "1",
			"description": "The API of a running fabric. Later versions may add fields, but do not remove a field or " +
				"change its meaning.",
		},
		"servers": []object{{
			"url": "/",
			"description": "HTTP on the unix socket that api.socket names in the configuration, " + config.DefaultSocket +
				" by default",
		}},
		"paths":      paths,
		"x-commands": commandOutputs(s),
		"components": object{"schemas": s.components},
	}
}

// commandOutputs returns the schemas of what the commands write with --json.
func commandOutputs(s schemas) object {
	all := object{}
	for command, output := range map[string]reflect.Type{
		"ask":        reflect.TypeFor[arping.Summary](),
		"check":      reflect.TypeFor[[]check.Result](),
		"explain":    reflect.TypeFor[explain.Explanation](),
		"lookup":     reflect.TypeFor[[]Binding](),
		"ports":      reflect.TypeFor[[]Port](),
		"reload":     reflect.TypeFor[Configuration](),
		"replay":     reflect.TypeFor[replay.Summary](),
		"status":     reflect.TypeFor[Status](),
		"version":    reflect.TypeFor[build.Info](),
		"violations": reflect.TypeFor[[]Violation](),
		"watch":      reflect.TypeFor[Event](), // one a line

		"allocate": reflect.TypeFor[NetworkBinding](),
		"bindings": reflect.TypeFor[[]NetworkBinding](),
		"free":     reflect.TypeFor[NetworkBinding](),

		"bindings --free": reflect.TypeFor[[]FreeRange](),

		"history": reflect.TypeFor[[]Change](),

		"check --against-running": reflect.TypeFor[Plan](),
		"reload --dry-run":        reflect.TypeFor[Plan](),

		"violations clear": reflect.TypeFor[Cleared](),
	} {
		all["arpfabric "+command+" --json"] = s.of(output)
	}
	return all
}

// operations makes the ID of an operation from its path.
var operations = strings.NewReplacer("/v1/", "", "networks/{network}/", "network-")

func response(what, media string, schema object) object {
	return object{"description": what, "content": object{media: object{"schema": schema}}}
}

// inPath describes the values in a path.
func inPath(path string) []object {
	all := []object{}
	for part := range strings.SplitSeq(path, "/") {
		if name, isValue := strings.CutPrefix(part, "{"); isValue {
			name = strings.TrimSuffix(name, "}")
			meaning := map[string]string{"network": "the name of a network", "address": "an IPv4 address"}[name]
			all = append(all, object{
				"name": name, "in": "path", "required": true, "description": meaning, "schema": object{"type": "string"},
			})
		}
	}
	return all
}

func parameters(in string, list []parameter) []object {
	all := []object{}
	for _, p := range list {
		schema := object{"type": "string"}
		if p.repeatable {
			schema = object{"type": "array", "items": schema}
		}
		all = append(all, object{"name": p.name, "in": in, "description": p.meaning, "schema": schema})
	}
	return all
}

// schemas makes the schemas of Go types. Named types become components.
type schemas struct {
	words
	components object
}

func (s schemas) of(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[netip.Addr]():
		return object{"type": "string"}
	case t == reflect.TypeFor[json.RawMessage]():
		return object{"type": "object"}
	case t == reflect.TypeFor[[]byte]():
		return object{"type": "string", "contentEncoding": "base64"}
	case t.Kind() == reflect.Pointer:
		return s.of(t.Elem())
	case t.Kind() == reflect.Slice:
		return object{"type": "array", "items": s.of(t.Elem())}
	case t.Kind() == reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case t.PkgPath() != "":
		return s.component(t)
	}
	return map[reflect.Kind]object{
		reflect.String: {"type": "string"}, reflect.Bool: {"type": "boolean"},
		reflect.Int: {"type": "integer"}, reflect.Int64: {"type": "integer"}, reflect.Uint64: {"type": "integer", "minimum": 0},
		reflect.Int32: {"type": "integer"}, reflect.Uint32: {"type": "integer", "minimum": 0},
	}[t.Kind()]
}

func (s schemas) component(t reflect.Type) object {
	name := prefixes[path.Base(t.PkgPath())] + t.Name()
	if s.components[name] == nil {
		c := object{"type": "string", "enum": s.values[name]}
		if t.Kind() == reflect.Struct {
			c = s.structure(name, t)
		}
		c["description"] = s.meanings[name]
		s.components[name] = c
	}
	return object{"$ref": "#/components/schemas/" + name}
}

func (s schemas) structure(name string, t reflect.Type) object {
	properties, required := object{}, []string{}
	for f := range t.Fields() {
		if f.Anonymous { // its keys are those of the structure
			embedded := s.structure(f.Type.Name(), f.Type)
			maps.Copy(properties, embedded["properties"].(object))
			always, _ := embedded["required"].([]string)
			required = append(required, always...)
			continue
		}
		if !f.IsExported() {
			continue
		}
		key, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		schema := s.of(f.Type)
		if meaning := s.meanings[name+"."+f.Name]; meaning != "" {
			schema["description"] = meaning
		}
		properties[key] = schema
		if options == "" {
			required = append(required, key)
		}
	}
	c := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		c["required"] = required
	}
	return c
}

// prefixes distinguish the types of the packages that have types of the same name.
var prefixes = map[string]string{"arping": "Ask", "build": "Build", "check": "Check", "config": "Check", "replay": "Replay"}

// words has the comments and constants of the files with the types.
type words struct {
	prefix   string              // of the types in the current file
	meanings map[string]string   // by Type and Type.Field
	values   map[string][]string // the constants of a type
}

func readWords(t *testing.T) words {
	t.Helper()
	w := words{"", map[string]string{}, map[string][]string{}}
	for _, name := range []string{
		"types.go", "bindings_types.go", "plan_types.go", "../explain/explain.go", "../explain/question.go", "../arping/json.go", "../build/build.go",
		"../check/check.go", "../../config/problem.go", "../replay/summary.go",
	} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		labtest.Must(t, err)
		w.prefix = prefixes[file.Name.Name]
		w.read(file)
	}
	return w
}

func (w words) read(file *ast.File) {
	for _, declaration := range file.Decls {
		declared, ok := declaration.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range declared.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				w.readType(spec, declared.Doc)
			case *ast.ValueSpec:
				w.readConstant(spec)
			}
		}
	}
}

func (w words) readType(spec *ast.TypeSpec, doc *ast.CommentGroup) {
	name := w.prefix + spec.Name.Name
	w.meanings[name] = oneLine(doc.Text())
	structure, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, field := range structure.Fields.List {
		for _, key := range field.Names { // an embedded struct has none
			w.meanings[name+"."+key.Name] = oneLine(field.Doc.Text() + field.Comment.Text())
		}
	}
}

func (w words) readConstant(spec *ast.ValueSpec) {
	if spec.Type == nil || len(spec.Values) == 0 {
		return // a variable, not a constant of a type
	}
	name := w.prefix + spec.Type.(*ast.Ident).Name
	value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
	if err != nil {
		panic(err) // the parser accepts no other literal
	}
	w.values[name] = append(w.values[name], value)
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// TestEveryRouteIsDescribed checks that the description has exactly the routes of the server.
func TestEveryRouteIsDescribed(t *testing.T) {
	var described []string
	for path, item := range load(t).Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	var served []string
	for _, r := range routes {
		served = append(served, r.method+" "+r.path)
	}
	if diff := cmp.Diff(served, described, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("served and described (-served +described)\n%s", diff)
	}
}

// pathOfRoute returns the path of a request's route, with names instead of values; its own path if it has no route.
func pathOfRoute(r *http.Request) string {
	for _, to := range routes {
		if to.matches(r) {
			return to.path
		}
	}
	return r.URL.Path
}

// checkDescribed checks a request and its answer against the description.
func checkDescribed(t *testing.T, doc *openapi3.T, r *http.Request, w *httptest.ResponseRecorder) {
	t.Helper()
	item := doc.Paths.Find(pathOfRoute(r))
	if item == nil || item.GetOperation(r.Method) == nil {
		return // TestAnswers checks the answers to unknown paths and methods
	}
	route := &routers.Route{
		Spec: doc, Path: pathOfRoute(r), PathItem: item, Method: r.Method, Operation: item.GetOperation(r.Method),
	}
	request := &openapi3filter.RequestValidationInput{
		Request: r, Route: route, PathParams: map[string]string{"network": r.PathValue("network"), "address": r.PathValue("address")}, Options: &openapi3filter.Options{MultiError: true},
	}
	if w.Code == http.StatusOK {
		labtest.Must(t, openapi3filter.ValidateRequest(r.Context(), request))
	}
	bodies := [][]byte{w.Body.Bytes()}
	if w.Header().Get("Content-Type") == mediaLines {
		bodies = bytes.SplitAfter(w.Body.Bytes(), []byte("\n"))
	}
	for _, body := range bodies {
		if len(bytes.TrimSpace(body)) == 0 {
			continue // a keep-alive
		}
		answer := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: request, Status: w.Code, Header: w.Header(), Options: request.Options,
		}
		labtest.Must(t, openapi3filter.ValidateResponse(r.Context(), answer.SetBodyBytes(body)))
	}
}

// loadStrict loads the description and makes it reject fields that it does not name.
func loadStrict(t *testing.T) *openapi3.T {
	t.Helper()
	data, err := os.ReadFile(descriptionFile)
	labtest.Must(t, err)
	var description struct {
		object
		Components struct{ Schemas map[string]object }
	}
	labtest.Must(t, json.Unmarshal(data, &description.object))
	labtest.Must(t, json.Unmarshal(data, &description))
	for _, schema := range description.Components.Schemas {
		if schema["type"] == "object" {
			schema["additionalProperties"] = false
		}
	}
	description.object["components"] = object{"schemas": description.Components.Schemas}
	data, err = json.Marshal(description.object)
	labtest.Must(t, err)
	doc, err := openapi3.NewLoader().LoadFromData(data)
	labtest.Must(t, err)
	return doc
}
