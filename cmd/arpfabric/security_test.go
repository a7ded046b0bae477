package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

const securityPage = "../../docs/security.md"

// TestSecurityPage checks that the tests which docs/security.md lists behind its promises exist.
func TestSecurityPage(t *testing.T) {
	page, err := os.ReadFile(securityPage)
	labtest.Must(t, err)
	listed := 0
	for line := range strings.Lines(string(page)) {
		n, err := checkTests(line)
		if err != nil {
			t.Error(err)
		}
		listed += n
	}
	if listed == 0 {
		t.Error("the page lists no test")
	}
}

var (
	testOrFolder = regexp.MustCompile("`[a-z][\\w/]*`|\\b(?:Test|Fuzz)[A-Z]\\w*")
	isTestName   = regexp.MustCompile("^(?:Test|Fuzz)")
)

// checkTests returns how many tests a line lists. Its error names those that are not in the folder that the line names
// before them.
func checkTests(line string) (listed int, err error) {
	folder := ""
	for _, name := range testOrFolder.FindAllString(line, -1) {
		name = strings.Trim(name, "`")
		if !isTestName.MatchString(name) {
			folder = name
			continue
		}
		listed++
		if !hasTest(folder, name) {
			err = errors.Join(err, fmt.Errorf("there is no test %s in the folder %q", name, folder))
		}
	}
	return listed, err
}

// hasTest reports whether a folder of the repository has a test.
func hasTest(folder, name string) bool {
	files, _ := filepath.Glob(filepath.Join("../..", folder, "*_test.go")) // the pattern is well-formed
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(text), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}

// TestCheckTests checks that checkTests finds the names of tests that do not exist.
func TestCheckTests(t *testing.T) {
	for _, tt := range []struct {
		line    string
		listed  int
		isWrong bool
	}{
		{"no test, and `guard: full`", 0, false},
		{"`cmd/arpfabric`: `TestLinks`, `TestPages`", 2, false},
		{"`cmd/arpfabric`: `TestLinks`; `responder`: `FuzzDecide`", 2, false},
		{"`cmd/arpfabric`: TestLinks, not as code", 1, false},
		{"`cmd/arpfabric`: `TestLinks`, `TestNothing`", 2, true},
		{"`cmd/arpfabric`: `TestLink`, the beginning of a name", 1, true},
		{"`responder`: `TestLinks`, in another folder", 1, true},
		{"`nowhere`: `TestLinks`", 1, true},
		{"`TestLinks`, in no folder", 1, true},
		{"`cmd/arpfabric`: TestNothing, not as code", 1, true},
	} {
		if listed, err := checkTests(tt.line); listed != tt.listed || (err != nil) != tt.isWrong {
			t.Errorf("%s: %d tests, error %v", tt.line, listed, err)
		}
	}
}

// TestSecurityRules checks that nft takes the rules on the page.
func TestSecurityRules(t *testing.T) {
	labtest.NeedProgram(t, "nft")
	checked := 0
	for _, b := range blocksOf(t, securityPage) {
		if !strings.HasPrefix(b.info, "nft ") {
			continue
		}
		checked++
		if out, err := exec.Command("nft", "--check", "--file", labtest.TempFile(t, "guests.nft", b.text)).CombinedOutput(); err != nil {
			t.Errorf("%s:%d: %v: %s", securityPage, b.line, err, out)
		}
	}
	if checked == 0 {
		t.Error("the page has no rules")
	}
}
