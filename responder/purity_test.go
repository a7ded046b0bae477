package responder_test

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"testing"
)

// imports are the packages that a package may import, with the names that it may use from each; nil allows all names.
// None of them does I/O, starts a goroutine, reads a clock or writes a log.
type imports map[string][]string

func TestImports(t *testing.T) {
	imports{
		"encoding/binary": {"BigEndian"},
		"fmt":             {"Sprintf"},
		"iter":            nil,
		"net/netip":       nil,
		"slices":          nil,

		"github.com/arpfabric/arpfabric/responder/registry": nil,
		"github.com/mdlayher/arp":                           {"Operation", "OperationReply", "OperationRequest"},
		"github.com/mdlayher/ethernet": {
			"EtherType", "EtherTypeARP", "EtherTypeIPv4", "EtherTypeIPv6", "EtherTypeServiceVLAN", "EtherTypeVLAN",
		},
	}.check(t, ".")
}

func TestRegistryImports(t *testing.T) {
	imports{
		"cmp":             nil,
		"container/heap":  nil,
		"encoding/binary": {"BigEndian"},
		"fmt":             {"Errorf", "Sprintf"},
		"iter":            nil,
		"maps":            nil,
		"math/bits":       nil,
		"net":             {"HardwareAddr", "ParseMAC"},
		"net/netip":       nil,
		"slices":          nil,
		"sort":            nil,
		"strings":         nil,
	}.check(t, "registry")
}

// check expects the package in a folder to import exactly the allowed packages, and to use only allowed names.
func (allowed imports) check(t *testing.T, folder string) {
	t.Helper()
	pkg, err := build.ImportDir(folder, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, imported := range pkg.Imports {
		if _, ok := allowed[imported]; !ok {
			t.Errorf("%v: %s is imported", pkg.ImportPos[imported], imported)
		}
	}
	for imported := range allowed {
		if !slices.Contains(pkg.Imports, imported) {
			t.Errorf("%s is allowed, but not imported", imported)
		}
	}
	for _, file := range pkg.GoFiles {
		allowed.checkNames(t, filepath.Join(folder, file))
	}
}

// checkNames reports the names used in file that are not allowed.
func (imports imports) checkNames(t *testing.T, file string) {
	files := token.NewFileSet()
	tree, err := parser.ParseFile(files, file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string][]string{} // by the package's name in the code
	for imported, names := range imports {
		allowed[path.Base(imported)] = names
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			from, ok := n.X.(*ast.Ident)
			if !ok {
				break
			}
			if names := allowed[from.Name]; names != nil && !slices.Contains(names, n.Sel.Name) {
				t.Errorf("%v: %s.%s is used", files.Position(n.Pos()), from.Name, n.Sel.Name)
			}
		case *ast.ImportSpec:
			if n.Name != nil {
				t.Errorf("%v: %s is imported under another name, so this test cannot check its use",
					files.Position(n.Pos()), n.Path.Value)
			}
		case *ast.GoStmt:
			t.Errorf("%v: a goroutine is started", files.Position(n.Pos()))
		}
		return true
	})
}
