package main

import (
	"strings"
	"testing"
)

// TestArguments checks that an error names the argument that is wrong, and that a mistyped command gets a suggestion.
func TestArguments(t *testing.T) {
	skipIfShort(t)
	tests := []struct{ line, want string }{
		{"stauts", `unknown command "stauts"; did you mean status?; see 'arpfabric --help'`},
		{"relaod", `unknown command "relaod"; did you mean reload?; see 'arpfabric --help'`},
		{"zzzzzzz", `unknown command "zzzzzzz"; see 'arpfabric --help'`},
		{"help stauts", `unknown command "stauts"; did you mean status?; see 'arpfabric help --help'`},
		{"help status zzzzzzz", `unknown command "zzzzzzz"; see 'arpfabric help --help'`},
		{"completion powershel", `unknown command "powershel"; did you mean powershell?; see 'arpfabric completion --help'`},
		{"completion bash lab", `unexpected argument "lab"; see 'arpfabric completion bash --help'`},
		{"status lab", `unexpected argument "lab"; see 'arpfabric status --help'`},
		{"run lab.yaml", `unexpected argument "lab.yaml"; see 'arpfabric run --help'`},
		{"lookup", `missing argument IP|MAC|NAME; see 'arpfabric lookup --help'`},
		{"lookup 10.239.0.1 10.239.0.2", `unexpected argument "10.239.0.2"; see 'arpfabric lookup --help'`},
		{"ask", `missing argument IP; see 'arpfabric ask --help'`},
		{"import", `missing argument FILE; see 'arpfabric import --help'`},
		{"replay --learn", `missing argument CAPTURE; see 'arpfabric replay --help'`},
		{"man", `missing argument DIR; see 'arpfabric man --help'`},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			code, out := runToEnd(t, nil, strings.Fields(tt.line)...)
			if want := "arpfabric: " + tt.want + "\n"; code != exitUsage || out != want {
				t.Errorf("exit code %d\n%swant\n%s", code, out, want)
			}
		})
	}
}

// TestTopics checks that help knows every command.
func TestTopics(t *testing.T) {
	skipIfShort(t)
	for _, cmd := range commandsBelow(newRoot()) {
		path := strings.Fields(cmd.CommandPath())[1:]
		code, out := runToEnd(t, nil, append([]string{"help"}, path...)...)
		if code != 0 || !strings.HasPrefix(out, cmd.Long) {
			t.Errorf("help %s: exit code %d\n%s", strings.Join(path, " "), code, out)
		}
	}
}
