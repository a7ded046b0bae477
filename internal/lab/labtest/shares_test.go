package labtest

import (
	"fmt"
	"regexp"
	"slices"
	"testing"
)

func TestEachTestIsInOneShare(t *testing.T) {
	var names []string
	for n := range 11 {
		names = append(names, fmt.Sprint("TestA", n)) // TestA1 begins as TestA10 does
	}
	for n := 1; n <= maxLabs; n++ {
		shares, err := shareOut(names, n, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if len(shares) != n {
			t.Errorf("%d shares, want %d", len(shares), n)
		}
		for _, name := range names {
			in := 0
			for _, s := range shares {
				s.output.Close()
				if regexp.MustCompile(s.args[slices.Index(s.args, "-test.run")+1]).MatchString(name) {
					in++
				}
			}
			if in != 1 {
				t.Errorf("%s is in %d of %d shares", name, in, n)
			}
		}
	}
}

func TestListTests(t *testing.T) {
	if names := listTests(); !slices.Contains(names, t.Name()) {
		t.Errorf("the tests are %q, without %s", names, t.Name())
	}
}
