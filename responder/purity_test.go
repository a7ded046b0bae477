package responder_test

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"testing"
)

// imports are all that the package may use: nothing that does I/O, starts a goroutine, reads a clock or
// writes a log. Of packages that could, only the names given here.
var imports = map[string][]string{
	"cmp":             nil,
	"container/heap":  nil,
	"encoding/binary": {"BigEndian"},
	"fmt":             {"Errorf", "Sprintf"},
	"iter":            nil,
	"math/bits":       nil,
	"net":             {"HardwareAddr", "ParseMAC"},
	"net/netip":       nil,
	"slices":          nil,
	"strings":         nil,

	"github.com/mdlayher/arp": {"Operation", "OperationReply", "OperationRequest"},
	"github.com/mdlayher/ethernet": {
		"EtherType", "EtherTypeARP", "EtherTypeIPv4", "EtherTypeIPv6", "EtherTypeServiceVLAN", "EtherTypeVLAN",
	},
}

func TestImports(t *testing.T) {
	pkg, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, imported := range pkg.Imports {
		if _, ok := imports[imported]; !ok {
			t.Errorf("%v: %s is imported", pkg.ImportPos[imported], imported)
		}
	}
	for allowed := range imports {
		if !slices.Contains(pkg.Imports, allowed) {
			t.Errorf("%s is on the list, but nothing imports it", allowed)
		}
	}
	for _, file := range pkg.GoFiles {
		checkNames(t, file)
	}
}

// checkNames looks for names in file that imports doesn't give.
func checkNames(t *testing.T, file string) {
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
				t.Errorf("%v: %s has another name here, so this test doesn't see its use",
					files.Position(n.Pos()), n.Path.Value)
			}
		case *ast.GoStmt:
			t.Errorf("%v: a goroutine is started", files.Position(n.Pos()))
		}
		return true
	})
}
