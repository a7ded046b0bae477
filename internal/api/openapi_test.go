package api

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var update = flag.Bool("update", false, "write docs/openapi.json anew")

const descriptionFile = "../../docs/openapi.json"

// TestDescription holds that docs/openapi.json is what the routes and the types make it, and a valid description.
// `go test ./internal/api -run Description -update` writes it.
func TestDescription(t *testing.T) {
	data, err := json.MarshalIndent(describe(t), "", "  ")
	must(t, err)
	want := string(data) + "\n"
	if *update {
		must(t, os.WriteFile(descriptionFile, []byte(want), 0o644))
	}
	got, err := os.ReadFile(descriptionFile)
	must(t, err)
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/openapi.json is not up to date; write it with\n"+
			"go test ./internal/api -run Description -update\n(-want +got)\n%s", diff)
	}
	must(t, load(t).Validate(context.Background()))
}

func load(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(descriptionFile)
	must(t, err)
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
			"operationId": strings.TrimPrefix(r.path, "/v1/"),
			"summary":     r.summary,
			"parameters":  parameters(r.query),
			"responses": object{
				"200":     response("what was asked for", r.media, s.of(r.answer)),
				"default": response("why the request was refused", mediaProblem, problem),
			},
		}
		if r.body != nil {
			content := object{mediaJSON: object{"schema": s.of(r.body)}}
			operation["requestBody"] = object{"required": true, "content": content}
		}
		paths[r.path] = object{strings.ToLower(r.method): operation}
	}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "arpfabric", "version": "1",
			"description": "How a running fabric is asked and told. Fields may be added, and are neither taken away nor " +
				"given another meaning.",
		},
		"servers": []object{{
			"url": "/",
			"description": "HTTP on the unix socket that api.socket names in the configuration, " + config.DefaultSocket +
				" by default",
		}},
		"paths":      paths,
		"components": object{"schemas": s.components},
	}
}

func response(what, media string, schema object) object {
	return object{"description": what, "content": object{media: object{"schema": schema}}}
}

func parameters(query []parameter) []object {
	all := []object{}
	for _, p := range query {
		schema := object{"type": "string"}
		if p.repeatable {
			schema = object{"type": "array", "items": schema}
		}
		all = append(all, object{"name": p.name, "in": "query", "description": p.meaning, "schema": schema})
	}
	return all
}

// schemas makes the schemas of Go types. Those of this package become components.
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
		reflect.Int: {"type": "integer"}, reflect.Uint64: {"type": "integer", "minimum": 0},
	}[t.Kind()]
}

func (s schemas) component(t reflect.Type) object {
	name := t.Name()
	if s.components[name] == nil {
		c := object{"type": "string", "enum": s.values[name]}
		if t.Kind() == reflect.Struct {
			c = s.structure(t)
		}
		c["description"] = s.meanings[name]
		s.components[name] = c
	}
	return object{"$ref": "#/components/schemas/" + name}
}

func (s schemas) structure(t reflect.Type) object {
	properties, required := object{}, []string{}
	for f := range t.Fields() {
		key, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		schema := s.of(f.Type)
		if meaning := s.meanings[t.Name()+"."+f.Name]; meaning != "" {
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

// words is what the files with the types say in comments and constants.
type words struct {
	meanings map[string]string   // by Type and Type.Field
	values   map[string][]string // the constants of a type
}

func readWords(t *testing.T) words {
	t.Helper()
	w := words{map[string]string{}, map[string][]string{}}
	for _, name := range []string{"types.go", "../explain/explain.go", "../explain/ask.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		must(t, err)
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
	name := spec.Name.Name
	w.meanings[name] = oneLine(doc.Text())
	structure, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, field := range structure.Fields.List {
		w.meanings[name+"."+field.Names[0].Name] = oneLine(field.Doc.Text() + field.Comment.Text())
	}
}

func (w words) readConstant(spec *ast.ValueSpec) {
	if spec.Type == nil {
		return // a table of the package's own
	}
	name := spec.Type.(*ast.Ident).Name
	value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
	if err != nil {
		panic(err) // it was parsed
	}
	w.values[name] = append(w.values[name], value)
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// TestEveryRouteIsDescribed holds that the description has the routes, and no others.
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

// checkDescribed holds what was answered against the description.
func checkDescribed(t *testing.T, doc *openapi3.T, r *http.Request, w *httptest.ResponseRecorder) {
	t.Helper()
	item := doc.Paths.Find(r.URL.Path)
	if item == nil || item.GetOperation(r.Method) == nil {
		return // that there is no such thing is tested elsewhere
	}
	route := &routers.Route{
		Spec: doc, Path: r.URL.Path, PathItem: item, Method: r.Method, Operation: item.GetOperation(r.Method),
	}
	request := &openapi3filter.RequestValidationInput{
		Request: r, Route: route, Options: &openapi3filter.Options{MultiError: true},
	}
	if w.Code == http.StatusOK {
		must(t, openapi3filter.ValidateRequest(r.Context(), request))
	}
	for body := range bytes.Lines(w.Body.Bytes()) {
		if len(bytes.TrimSpace(body)) == 0 {
			continue // a sign of life
		}
		answer := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: request, Status: w.Code, Header: w.Header(), Options: request.Options,
		}
		must(t, openapi3filter.ValidateResponse(r.Context(), answer.SetBodyBytes(body)))
	}
}

// loadStrict loads the description so that it refuses fields that it does not name.
func loadStrict(t *testing.T) *openapi3.T {
	t.Helper()
	data, err := os.ReadFile(descriptionFile)
	must(t, err)
	var description struct {
		object
		Components struct{ Schemas map[string]object }
	}
	must(t, json.Unmarshal(data, &description.object))
	must(t, json.Unmarshal(data, &description))
	for _, schema := range description.Components.Schemas {
		if schema["type"] == "object" {
			schema["additionalProperties"] = false
		}
	}
	description.object["components"] = object{"schemas": description.Components.Schemas}
	data, err = json.Marshal(description.object)
	must(t, err)
	doc, err := openapi3.NewLoader().LoadFromData(data)
	must(t, err)
	return doc
}
