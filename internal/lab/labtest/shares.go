package labtest

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/arpfabric/arpfabric/internal/lab"
	"golang.org/x/sync/errgroup"
)

const (
	maxLabs      = 4 // at once, for the tests of a package
	sharesPerLab = 4 // one after another, as some tests take much longer than others
)

// A share is some of a package's tests. The tests of a share run one after another in a lab, while other shares run in
// other labs, because most tests wait for the kernel most of the time.
type share struct {
	args   []string
	output *os.File // the tests' output, printed when they have ended
	read   string   // the file of -test.testlogfile; "" for none
	code   int      // the exit code
}

// runShares runs the test program again in as many labs as there are CPUs, and returns the exit code. It uses one lab
// if the flags select tests, or ask for benchmarks, profiles or the like.
func runShares() (int, error) {
	flag.Parse()
	labs := min(runtime.NumCPU(), maxLabs)
	if labs == 1 || !runsAllTests() {
		return lab.Run(os.Args[1:], os.Stdout)
	}
	names := listTests()
	if len(names) == 0 { // no lab can be made, and this returns the reason
		return lab.Run(os.Args[1:], os.Stdout)
	}
	folder, err := os.MkdirTemp("", "lab")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	shares, err := shareOut(names, min(labs*sharesPerLab, len(names)), folder)
	if err != nil {
		return 0, err
	}
	return runAll(shares, labs)
}

// runsAllTests reports whether the flags are only those that can be passed to each share.
func runsAllTests() bool {
	all := true
	flag.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "test.count", "test.fullpath", "test.paniconexit0", "test.short", "test.testlogfile", "test.timeout", "test.v":
		default:
			all = false
		}
	})
	return all && flag.NArg() == 0
}

var isTest = regexp.MustCompile(`^(Test|Example|Fuzz)`)

// listTests returns the names of the tests.
func listTests() (names []string) {
	listed, _ := exec.Command("/proc/self/exe", "-test.list", ".").Output()
	for line := range strings.Lines(string(listed)) {
		if name := strings.TrimSpace(line); isTest.MatchString(name) {
			names = append(names, name)
		}
	}
	return names
}

// shareOut makes n shares of the tests, with files in a folder.
func shareOut(names []string, n int, folder string) ([]*share, error) {
	turns := make([][]string, n)
	for i, name := range names {
		turns[i%n] = append(turns[i%n], name)
	}
	var shares []*share
	for i, names := range turns {
		output, err := os.Create(filepath.Join(folder, fmt.Sprint("output", i)))
		if err != nil {
			return nil, err
		}
		s := &share{output: output, args: slices.Concat(os.Args[1:], []string{"-test.run", "^(" + strings.Join(names, "|") + ")$"})}
		if logFile() != "" {
			s.read = filepath.Join(folder, fmt.Sprint("read", i))
			s.args = append(s.args, "-test.testlogfile", s.read) // which overrides the one before
		}
		shares = append(shares, s)
	}
	return shares, nil
}

// logFile returns the file in which the go command expects the names of the files that the tests have read. It runs the
// tests again if one of these has changed.
func logFile() string { return flag.Lookup("test.testlogfile").Value.String() }

// runAll runs the shares, a number of labs at once, and returns the highest exit code.
func runAll(shares []*share, labs int) (worst int, err error) {
	var running errgroup.Group
	running.SetLimit(labs)
	for _, s := range shares {
		running.Go(s.run)
	}
	err = running.Wait()
	for _, s := range shares {
		worst = max(worst, s.code)
	}
	if logFile() != "" {
		err = errors.Join(err, joinLogs(shares))
	}
	return worst, err
}

func (s *share) run() (err error) {
	defer s.output.Close()
	if s.code, err = lab.Run(s.args, s.output); err != nil {
		return err
	}
	output, err := os.ReadFile(s.output.Name())
	os.Stdout.Write(output) // at once, so that the output of two shares is not mixed
	return err
}

// joinLogs writes the go command's log from those of the shares, each of which begins with the same line.
func joinLogs(shares []*share) error {
	const first = "# test log\n"
	all := []byte(first)
	for _, s := range shares {
		log, err := os.ReadFile(s.read)
		if err != nil {
			return nil // the tests ended without writing it, for example by a panic
		}
		all = append(all, bytes.TrimPrefix(log, []byte(first))...)
	}
	return os.WriteFile(logFile(), all, 0o600)
}
