// Package labtest has the helpers that tests share: they run a package's tests in a lab, skip tests where the machine
// or the kernel lacks something, wait for conditions, and change the lab's network in ways that the demo does not.
//
// Only tests import it, so that the program does not contain package testing.
package labtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/lab"
)

// RunTests runs a package's tests in labs, and returns the exit code for TestMain to exit with. If the machine does not
// let this user make a lab, it prints why and runs no test; the exit code is 0 then, or 1 if CI=true is set.
func RunTests(m *testing.M) int {
	code, err := runTests(m)
	if errors.Is(err, lab.ErrForbidden) && !underCI() {
		fmt.Fprintln(os.Stderr, "SKIP: all tests of this package:", err)
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func runTests(m *testing.M) (code int, err error) {
	if !lab.IsInside() {
		return runShares()
	}
	if _, _, err := lab.Enter(); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// Patience is how long a test waits for a condition. It is long because an emulated machine is slow.
const Patience = 30 * time.Second

// Eventually waits until done returns true. It fails the test if that takes longer than [Patience]; what names the
// condition in the failure.
func Eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain: %s", Patience, what)
		}
	}
}

// Must fails the test at once if err is not nil.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Write writes a file, with mode 0600 if it is new.
func Write(t testing.TB, path, text string) {
	t.Helper()
	Must(t, os.WriteFile(path, []byte(text), 0o600))
}

// TempFile writes a file in a new temporary directory, and returns its path.
func TempFile(t testing.TB, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	Write(t, path, text)
	return path
}
