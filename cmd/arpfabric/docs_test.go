package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// TestPages reads the README and every page under docs as a reader would, each in a folder of its own: a fenced block
// whose info string is `LANGUAGE FILE` is a file, and one with `console` holds commands, each after "$ ", with their exact
// output below. The commands are for sh, with arpfabric in PATH.
func TestPages(t *testing.T) {
	skipIfShort(t)
	program := programFolder(t)
	for _, page := range pages(t) {
		t.Run(filepath.Base(page), func(t *testing.T) {
			r := reader{folder: t.TempDir(), program: program}
			for _, b := range blocksOf(t, page) {
				if err := r.read(b); err != nil {
					t.Errorf("%s:%d: %v", page, b.line, err)
				}
			}
		})
	}
}

func pages(t *testing.T) []string {
	t.Helper()
	docs, err := filepath.Glob("../../docs/*.md")
	labtest.Must(t, err)
	if len(docs) == 0 {
		t.Fatal("no page is found")
	}
	return append(docs, readme)
}

const readme = "../../README.md"

var (
	links    = regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)
	headings = regexp.MustCompile(`(?m)^#+ (.*)$`)
	inSlug   = regexp.MustCompile(`[^\w\- ]`)
)

// TestLinks checks that the files and headings to which the pages link exist.
func TestLinks(t *testing.T) {
	for _, page := range append(pages(t), "../../CONTRIBUTING.md", "../../SECURITY.md", "../../examples/hosts/README.md") {
		text, err := os.ReadFile(page)
		labtest.Must(t, err)
		for _, link := range links.FindAllStringSubmatch(string(text), -1) {
			if err := checkLink(page, link[1], link[2]); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

// checkLink follows a link from a page to a file (the page itself if file is empty) and to a #heading of it. It does
// not follow links to other sites.
func checkLink(page, file, heading string) error {
	if strings.Contains(file, "://") {
		return nil
	}
	target := page
	if file != "" {
		target = filepath.Join(filepath.Dir(page), file)
	}
	if heading == "" {
		_, err := os.Stat(target)
		return err
	}
	text, err := os.ReadFile(target)
	if err != nil {
		return err
	}
	for _, h := range headings.FindAllStringSubmatch(string(text), -1) {
		if "#"+slug(h[1]) == heading {
			return nil
		}
	}
	return fmt.Errorf("%s has no heading %s", target, heading)
}

// slug returns the anchor of a heading on GitHub.
func slug(heading string) string {
	return strings.ReplaceAll(inSlug.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

// TestCheckLink checks that checkLink finds broken links.
func TestCheckLink(t *testing.T) {
	for _, tt := range []struct {
		file, heading string
		isWrong       bool
	}{
		{"docs/decision.md", "", false},
		{"docs/decision.md", "#what-passes-a-guest-port", false},
		{"docs", "", false},
		{"", "#run-the-tests", false},
		{"https://example.com/", "#no", false},
		{"docs/indecision.md", "", true},
		{"docs/indecision.md", "#what-passes-a-guest-port", true},
		{"docs/decision.md", "#what-passes", true},
		{"", "#no", true},
	} {
		if err := checkLink(readme, tt.file, tt.heading); (err != nil) != tt.isWrong {
			t.Errorf("%s%s: error %v", tt.file, tt.heading, err)
		}
	}
}

// A block is a fenced block of a page.
type block struct {
	line int    // of the fence
	info string // the text behind the fence
	text string
}

const fence = "```"

func blocksOf(t *testing.T, page string) []block {
	t.Helper()
	data, err := os.ReadFile(page)
	labtest.Must(t, err)
	var all []block
	var b block
	open, indent, number := false, "", 0
	for line := range strings.Lines(string(data)) {
		number++
		before, info, isFence := strings.Cut(line, fence)
		switch isFence = isFence && strings.TrimSpace(before) == ""; {
		case isFence && open:
			all, open = append(all, b), false
		case isFence:
			b, open, indent = block{line: number, info: strings.TrimSpace(info)}, true, before
		case open:
			b.text += strings.TrimPrefix(line, indent)
		}
	}
	if open {
		t.Fatalf("%s:%d: a block without an end", page, b.line)
	}
	return all
}

// A reader follows the instructions of a page.
type reader struct {
	folder  string // in which the page's files are
	program string // the folder with arpfabric
}

func (r *reader) read(b block) error {
	language, file, isFile := strings.Cut(b.info, " ")
	switch {
	case isFile:
		return os.WriteFile(filepath.Join(r.folder, file), []byte(b.text), 0o644)
	case language == "console":
		return r.play(b.text)
	}
	return nil
}

// play runs the commands of a console. Its error is the difference between the console and the one on the page.
func (r *reader) play(console string) error {
	if !strings.HasPrefix(console, prompt) {
		return fmt.Errorf("a console begins with a command, after %q", prompt)
	}
	var played strings.Builder
	for line := range strings.Lines(console) {
		if command, ok := strings.CutPrefix(line, prompt); ok {
			played.WriteString(line)
			played.Write(r.run(command))
		}
	}
	if diff := cmp.Diff(console, played.String()); diff != "" {
		return fmt.Errorf("the output differs (-page +now):\n%s", diff)
	}
	return nil
}

const prompt = "$ "

// run returns the output of a command, standard output and standard error together.
func (r *reader) run(command string) []byte {
	sh := exec.Command("sh", "-c", command)
	sh.Dir = r.folder
	sh.Env = append(os.Environ(), asProgram+"=1", "PATH="+r.program+":"+os.Getenv("PATH"))
	out, _ := sh.CombinedOutput() // a page may show a command that fails
	return out
}

// TestReader checks that a reader finds mistakes of a page.
func TestReader(t *testing.T) {
	tests := []struct {
		name    string
		block   block
		isWrong bool
	}{
		{"right", block{info: "console", text: "$ echo a; echo b >&2\na\nb\n$ true\n$ exit 3\n"}, false},
		{"file", block{info: "text some.txt", text: "some text\n"}, false},
		{"file is there", block{info: "console", text: "$ cat some.txt\nsome text\n"}, false},
		{"other output", block{info: "console", text: "$ echo a\nb\n"}, true},
		{"more output", block{info: "console", text: "$ echo a\n"}, true},
		{"less output", block{info: "console", text: "$ true\na\n"}, true},
		{"no command", block{info: "console", text: "arpfabric version\n"}, true},
		{"nothing", block{info: "console"}, true},
		{"not to be run", block{info: "sh", text: "exit 1\n"}, false},
	}
	r := reader{folder: t.TempDir(), program: programFolder(t)}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := r.read(tt.block); (err != nil) != tt.isWrong {
				t.Errorf("error %v", err)
			}
		})
	}
}

const commandsPage = "../../docs/commands.md"

// TestCommandsPage checks that the page has a section for each command.
func TestCommandsPage(t *testing.T) {
	page, err := os.ReadFile(commandsPage)
	labtest.Must(t, err)
	for _, cmd := range newRoot().Commands() {
		if heading := "\n## " + cmd.Name() + "\n"; !strings.Contains(string(page), heading) {
			t.Errorf("docs/commands.md has no section %s", cmd.Name())
		}
	}
}

// TestSessions checks the `text` blocks of pages that show commands with a running fabric: a script of TestScripts must
// compare the command's output with the block.
func TestSessions(t *testing.T) {
	for _, page := range []string{commandsPage, "../../docs/allocation.md"} {
		checkSessions(t, page)
	}
}

func checkSessions(t *testing.T, page string) {
	t.Helper()
	compared := comparedByScripts(t)
	for _, b := range blocksOf(t, page) {
		line, want, _ := strings.Cut(b.text, "\n")
		command, isSession := strings.CutPrefix(line, prompt)
		if b.info != "text" || !isSession {
			continue
		}
		if outputs := compared[command]; !slices.Contains(outputs, want) {
			t.Errorf("%s:%d: no script compares the output of `%s` with this; they compare it with\n%s",
				page, b.line, command, strings.Join(outputs, "\n"))
		}
	}
}

// comparedByScripts returns, for each command line in the scripts, the texts with which they compare its output.
func comparedByScripts(t *testing.T) map[string][]string {
	t.Helper()
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	labtest.Must(t, err)
	all := map[string][]string{}
	for _, script := range scripts {
		archive, err := txtar.ParseFile(script)
		labtest.Must(t, err)
		addCompared(all, archive)
	}
	if len(all) == 0 {
		t.Fatal("the scripts compare nothing")
	}
	return all
}

// The lines of a script that run arpfabric, and those that compare its output.
var (
	scriptRuns     = regexp.MustCompile(`^(?:exec|exits \d|guest \w+) (arpfabric .*)$`)
	scriptWaits    = regexp.MustCompile(`^wait-for '[^']*' (.*)$`)
	scriptWatches  = regexp.MustCompile(`^watch (\S+)(.*)$`)
	scriptCompares = regexp.MustCompile(`^(?:cmp|cmpmask) (?:stdout|stderr) (\S+)$`)
)

func addCompared(all map[string][]string, script *txtar.Archive) {
	files := map[string]string{}
	for _, f := range script.Files {
		files[f.Name] = string(f.Data)
	}
	command := ""
	for line := range strings.SplitSeq(string(script.Comment), "\n") {
		if m := scriptRuns.FindStringSubmatch(line); m != nil {
			command = m[1]
		} else if m := scriptWaits.FindStringSubmatch(line); m != nil {
			command = "arpfabric " + m[1]
		} else if m := scriptCompares.FindStringSubmatch(line); m != nil {
			all[command] = append(all[command], files[m[1]])
		} else if m := scriptWatches.FindStringSubmatch(line); m != nil {
			watch := "arpfabric watch" + m[2]
			all[watch] = append(all[watch], files[m[1]])
		}
	}
}
