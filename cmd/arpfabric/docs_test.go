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
	must(t, err)
	if len(docs) == 0 {
		t.Fatal("no page is found")
	}
	return append(docs, readme)
}

const readme = "../../README.md"

// A block is a fenced block of a page.
type block struct {
	line int    // of the fence
	info string // what is behind the fence
	text string
}

const fence = "```"

func blocksOf(t *testing.T, page string) []block {
	t.Helper()
	data, err := os.ReadFile(page)
	must(t, err)
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

// A reader does what a page says.
type reader struct {
	folder  string // where the page's files are
	program string // the folder that arpfabric is in
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

// play types the commands of a console again. Its error is how the console differs from the one on the page.
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
		return fmt.Errorf("the console reads otherwise (-page +now):\n%s", diff)
	}
	return nil
}

const prompt = "$ "

// run returns what a command writes, on both outputs.
func (r *reader) run(command string) []byte {
	sh := exec.Command("sh", "-c", command)
	sh.Dir = r.folder
	sh.Env = append(os.Environ(), asProgram+"=1", "PATH="+r.program+":"+os.Getenv("PATH"))
	out, _ := sh.CombinedOutput() // an exit code is none of the page's business
	return out
}

// TestReader holds that a page which is wrong is found out.
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

// TestCommandsPage holds that there is a section for each command.
func TestCommandsPage(t *testing.T) {
	page, err := os.ReadFile(commandsPage)
	must(t, err)
	for _, cmd := range newRoot().Commands() {
		if heading := "\n## " + cmd.Name() + "\n"; !strings.Contains(string(page), heading) {
			t.Errorf("docs/commands.md has no section %s", cmd.Name())
		}
	}
}

// TestSessions holds that what docs/commands.md shows of commands that ask a running fabric, in blocks with `text`, is
// what a script of TestScripts compares with.
func TestSessions(t *testing.T) {
	compared := comparedByScripts(t)
	for _, b := range blocksOf(t, commandsPage) {
		line, want, _ := strings.Cut(b.text, "\n")
		command, isSession := strings.CutPrefix(line, prompt)
		if b.info != "text" || !isSession {
			continue
		}
		if outputs := compared[command]; !slices.Contains(outputs, want) {
			t.Errorf("%s:%d: no script compares the output of `%s` with this; they compare it with\n%s",
				commandsPage, b.line, command, strings.Join(outputs, "\n"))
		}
	}
}

// comparedByScripts returns, for each command line in the scripts, what its output is compared with.
func comparedByScripts(t *testing.T) map[string][]string {
	t.Helper()
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	must(t, err)
	all := map[string][]string{}
	for _, script := range scripts {
		archive, err := txtar.ParseFile(script)
		must(t, err)
		addCompared(all, archive)
	}
	if len(all) == 0 {
		t.Fatal("the scripts compare nothing")
	}
	return all
}

// The lines of a script that run arpfabric, and those that compare what it wrote.
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
