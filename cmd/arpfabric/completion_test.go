package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/spf13/cobra"
)

func TestCompletion(t *testing.T) {
	skipIfShort(t)
	const (
		noFiles  = cobra.ShellCompDirectiveNoFileComp
		files    = cobra.ShellCompDirectiveDefault
		yamlOnly = cobra.ShellCompDirectiveFilterFileExt
	)
	tests := []struct {
		line      string
		want      string
		directive cobra.ShellCompDirective
	}{
		{"rele|", "release\n", noFiles},
		{"release |", "", noFiles},
		{"check |", "yaml\nyml\n", yamlOnly},
		{"check a.yaml |", "yaml\nyml\n", yamlOnly},
		{"run --config |", "yaml\nyml\n", yamlOnly},
		{"explain --config |", "yaml\nyml\n", yamlOnly},
		{"explain |", "", noFiles},
		{"import |", "", files},
		{"init --output |", "", files},
		{"replay |", "", files},
		{"replay --config |", "yaml\nyml\n", yamlOnly},
		{"status --socket |", "", files},
		{"watch --write |", "", files},
		{"man |", "", cobra.ShellCompDirectiveFilterDirs},
		{"run --c|", "--config\n", noFiles},
		{"man|", "man\n", noFiles},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			args := strings.Split(strings.TrimSuffix(tt.line, "|"), " ")
			_, out := runToEnd(t, nil, append([]string{"__completeNoDesc"}, args...)...)
			if want := fmt.Sprintf("%s:%d\n", tt.want, tt.directive); !strings.HasPrefix(out, want) {
				t.Errorf("%s\nwant %s", out, want)
			}
		})
	}
}

func TestCompletionScripts(t *testing.T) {
	skipIfShort(t)
	for shell, marker := range map[string]string{
		"bash": "complete -o default -F __start_arpfabric arpfabric",
		"zsh":  "#compdef arpfabric",
		"fish": "complete -c arpfabric",
	} {
		t.Run(shell, func(t *testing.T) {
			if code, script := runToEnd(t, nil, "completion", shell); code != 0 || !strings.Contains(script, marker) {
				t.Errorf("exit code %d, %s", code, script)
			}
		})
	}
}

// TestBashTakesTheScript has bash itself load the script.
func TestBashTakesTheScript(t *testing.T) {
	skipIfShort(t)
	labtest.NeedProgram(t, "bash")
	_, script := runToEnd(t, nil, "completion", "bash")
	path := filepath.Join(t.TempDir(), "script")
	labtest.Write(t, path, script)
	out, err := exec.Command("bash", "-euc", "source "+path+"; complete -p arpfabric").CombinedOutput()
	if want := "complete -o default -F __start_arpfabric arpfabric\n"; err != nil || string(out) != want {
		t.Errorf("%q (%v), want %q", out, err, want)
	}
}
