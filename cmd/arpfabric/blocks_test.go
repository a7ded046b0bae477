package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/responder"
)

// heldElsewhere has the blocks of the pages that no test here plays, by their first lines, and the test that checks
// them.
var heldElsewhere = map[string]string{
	"guest 10.239.0.101 guest 10.239.0.102":                  "TestPicture",
	"level=WARN msg=\"guest uses another host's address\"":   "TestLineOnThePage of internal/violation",
	"network lab: 11 frames, 10 of them ARP":                 "TestPage of internal/replay",
	"1 ARP, Request who-has 10.239.0.1 tell":                 "TestPage of internal/replay",
	"# Learned from 9 ARP frames.":                           "TestPage of internal/replay",
	"network default: stdin:19: stranger 52:54:00:a1:00:0f:": "TestHookNamesAGuestWithoutAddress",
	"Status: \"2 networks, 5 bindings\"":                     "packaging/test, of one network",
	"09:14:02.118457 1200 events were lost: there were too":  "TestEvent of internal/show, except for the time",
	"arpfabric v1.0.0, networks: 1, bindings: 3, ports:":     "TestTable of internal/top",
	"watching lab (vpc on bridge br0), port vnet1; Ctrl-C":   "TestWatching and TestTally of internal/show, with other values",
	"[Service] Group=":                                       "no test: it is for systemd",
	"[Service] CapabilityBoundingSet=":                       "packaging/test",
	"datapath: auto # the default":                           "TestLoad of config, which has the same keys",
	"datapath user: kernel needs":                            "TestDatapathThatIsMissing, of check",
	"- ansible.builtin.uri:":                                 "no test: it is for Ansible",
	"guest ── vnet2":                                         "no test: it is a picture",
	"networks: vpc: driver_opts:":                            "no test: it is for Compose",
	"page: listen: 192.0.2.10:9643":                          "TestLoad of config, which has the same keys",
	"metrics: listen: 127.0.0.1:9642":                        "the page of the configuration, which has the same block",
	"# yaml-language-server: $schema=arpfabric.schema.json":  "config/reference.yaml, which begins with this line",
}

// TestBlocks checks that a test covers every block of the pages.
func TestBlocks(t *testing.T) {
	left := maps.Clone(heldElsewhere)
	for _, page := range pages(t) {
		for _, b := range blocksOf(t, page) {
			if err := b.held(left); err != nil {
				t.Errorf("%s:%d: %v", page, b.line, err)
			}
		}
	}
	for text := range left {
		t.Errorf("no page has a block that begins with %q", text)
	}
}

// held checks a block that is not played, and deletes it from elsewhere if it is there.
func (b block) held(elsewhere map[string]string) error {
	language, _, isFile := strings.Cut(b.info, " ")
	switch {
	case isFile, language == "console": // TestPages
		return nil
	case language == "text" && strings.HasPrefix(b.text, prompt): // TestSessions
		return nil
	case language == "shell-session": // TestCurl
		return nil
	case language == "sh":
		return checkCommands(b.text)
	case language == "yaml" && strings.Contains(b.text, "attach:"):
		return checkConfiguration(b.text)
	}
	words := strings.Join(strings.Fields(b.text), " ")
	for text := range elsewhere {
		if strings.HasPrefix(words, text) {
			delete(elsewhere, text)
			return nil
		}
	}
	return fmt.Errorf("no test looks at this %q block", b.info)
}

func checkConfiguration(text string) error {
	dir, err := os.MkdirTemp("", "page")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "page.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	_, err = config.Load(path)
	return err
}

var (
	continued  = regexp.MustCompile(`\\\n\s*`)
	separators = regexp.MustCompile(`\|\|?|&&|;|\n|>>?[^|\n]*|\s#[^\n]*`)
	calls      = regexp.MustCompile(`^\s*(?:go run \./cmd/|docker (?:compose )?exec \S+ )?arpfabric (.*)`)
	arguments  = regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)
)

// checkCommands checks that the commands in a script exist and accept their flags and arguments.
func checkCommands(script string) error {
	for _, line := range separators.Split(continued.ReplaceAllString(script, " "), -1) {
		call := calls.FindStringSubmatch(line)
		if call == nil {
			continue
		}
		args := arguments.FindAllString(call[1], -1)
		for i := range args {
			args[i] = strings.Trim(args[i], `'"`)
		}
		if err := checkCommand(args); err != nil {
			return fmt.Errorf("%q: %w", strings.TrimSpace(line), err)
		}
	}
	return nil
}

func checkCommand(args []string) error {
	root := newRoot()
	root.InitDefaultCompletionCmd(args...)
	cmd, rest, err := root.Find(args)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	return err
}

// TestCheckCommands checks that checkCommands finds mistakes.
func TestCheckCommands(t *testing.T) {
	for script, isWrong := range map[string]bool{
		"arpfabric status --json | jq .":                                            false,
		"docker run --rm -v /etc/arpfabric:/etc/arpfabric:ro arpfabric":             false,
		"docker exec arpfabric arpfabric status":                                    false,
		"go run ./cmd/arpfabric demo":                                               false,
		"arpfabric explain --port vnet3 \\\n  'who-has 10.239.0.1 tell 10.239.0.2'": false,
		"arpfabric stats":                        true,
		"true && arpfabric status --verbose":     true,
		"docker exec arpfabric arpfabric stats":  true,
		"virsh list | arpfabric import":          true,
		"arpfabric lookup # 10.239.0.102":        true,
		"arpfabric completion bash > /tmp/there": false,
	} {
		if err := checkCommands(script); (err != nil) != isWrong {
			t.Errorf("%s: error %v", script, err)
		}
	}
}

// TestPicture checks that the demo shows the frames of the picture in the README.
func TestPicture(t *testing.T) {
	report, err := os.ReadFile("../../internal/demo/testdata/report.txt")
	labtest.Must(t, err)
	lines := 0
	for line := range strings.Lines(blocksOf(t, readme)[0].text) {
		direction, frame, _ := strings.Cut(line, " ")
		if direction != ">" && direction != "<" {
			continue
		}
		lines++
		frame, _, _ = strings.Cut(frame, "  ")
		if want := direction + " ARP, " + strings.TrimSpace(frame) + "\n"; !strings.Contains(string(report), want) {
			t.Errorf("the demo does not show %q", want)
		}
	}
	if lines != 7 {
		t.Errorf("%d frames are in the picture, want 7", lines)
	}
}

// TestDecisionPageHasEveryReason checks that each reason is the last cell of a row in the page's tables.
func TestDecisionPageHasEveryReason(t *testing.T) {
	text, err := os.ReadFile("../../docs/decision.md")
	labtest.Must(t, err)
	for r := range responder.Reasons() {
		if reason := r.String(); !strings.Contains(string(text), " | `"+reason+"` |\n") {
			t.Errorf("docs/decision.md has no row for %s", reason)
		}
	}
}

var keys = regexp.MustCompile("(?m)^\\| `[A-Za-z_.]*\\b([a-z_]+)` \\|")

// TestConfigurationPageShowsEveryKey checks that the example at the top of docs/configuration.md has every key of the
// table at its end.
func TestConfigurationPageShowsEveryKey(t *testing.T) {
	const path = "../../docs/configuration.md"
	page, err := os.ReadFile(path)
	labtest.Must(t, err)
	found := keys.FindAllStringSubmatch(string(page), -1)
	if len(found) < 20 {
		t.Fatalf("%d keys on the page", len(found))
	}
	blocks := blocksOf(t, path)
	shown := blocks[slices.IndexFunc(blocks, func(b block) bool { return b.info == "yaml lab.yaml" })].text
	for _, key := range found {
		if !regexp.MustCompile(`\b` + key[1] + `\b`).MatchString(shown) {
			t.Errorf("the example on docs/configuration.md has no %s", key[1])
		}
	}
}
