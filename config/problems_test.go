package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestProblems loads lab.yaml in each folder of testdata/problems, and expects exactly the problems in its want.txt.
func TestProblems(t *testing.T) {
	folders, err := filepath.Glob("testdata/problems/*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("nothing in testdata/problems (%v)", err)
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Chdir(folder)
			want, err := os.ReadFile("want.txt")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(strings.TrimSpace(string(want)), "\n"), problemsOf("lab.yaml")); diff != "" {
				t.Errorf("problems (-want +got)\n%s", diff)
			}
		})
	}
}

// problemsOf loads a configuration and returns the lines of its error.
func problemsOf(path string) []string {
	if _, err := Load(path); err != nil {
		return strings.Split(err.Error(), "\n")
	}
	return nil
}
