package demo

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// These are in the lab's own /run.
const (
	toolsPath  = "/run/demo/bin" // the first folder of the shell's PATH
	startsPath = "/run/demo/start"
)

// A tool is a program that runs a command in a network namespace, or opens a shell there.
type tool struct {
	namespace string
	env       string // variables for the command, as a shell's export takes them; "" for none
}

func (t testbed) tools() (all []tool) {
	for _, g := range t {
		all = append(all, tool{namespace: g.Name})
	}
	return all
}

func (t *hostsTestbed) tools() (all []tool) {
	for _, h := range t.hosts {
		env := fmt.Sprintf("ARPFABRIC_SOCKET=/run/%s/api.sock ETCDCTL_API=3 ETCDCTL_ENDPOINTS=http://%s:2379", h.Name, etcdAddr.Addr())
		all = append(all, tool{h.Name, env})
	}
	for _, g := range t.guests {
		all = append(all, tool{namespace: g.Name})
	}
	return all
}

// writeTools makes the programs that the shell finds first: this program under its name, and the tools.
func writeTools(tools []tool) error {
	if err := errors.Join(os.RemoveAll(filepath.Dir(toolsPath)), os.MkdirAll(toolsPath, 0o755)); err != nil {
		return err
	}
	// The program's own path may be hidden by the lab's /run, or removed, as that of 'go run'.
	program := fmt.Sprintf("/proc/%d/exe", os.Getpid())
	if err := os.Symlink(program, filepath.Join(toolsPath, "arpfabric")); err != nil {
		return err
	}
	for _, t := range tools {
		if err := os.WriteFile(filepath.Join(toolsPath, t.namespace), []byte(t.script()), 0o755); err != nil {
			return err
		}
	}
	return nil
}

func (t tool) script() string {
	inside := "ip netns exec " + t.namespace
	if _, err := exec.LookPath("ip"); err != nil {
		inside = "nsenter --net=/run/netns/" + t.namespace
	}
	export := ""
	if t.env != "" {
		export = "export " + t.env + "\n"
	}
	return fmt.Sprintf("#!/bin/sh\n%s[ $# -gt 0 ] || PS1=%q exec %s sh\nexec %s \"$@\"\n", export, mark(t.namespace)+"# ", inside, inside)
}

// mark is the beginning of a prompt that says where the user is.
func mark(place string) string { return "(arpfabric demo, " + place + ") " }

// prompt returns arguments and environment variables with which a shell shows a mark before its usual prompt.
func prompt(shell, place string) (args, env []string, err error) {
	switch filepath.Base(shell) {
	case "bash":
		file := filepath.Join(startsPath, "bashrc")
		return []string{"--rcfile", file}, nil, writeStart(file,
			"[ ! -r ~/.bashrc ] || . ~/.bashrc\nPS1='"+mark(place)+"'$PS1\n")
	case "zsh":
		return nil, []string{"ZDOTDIR=" + startsPath}, writeStart(filepath.Join(startsPath, ".zshrc"),
			"ZDOTDIR=$HOME\n[ ! -r ~/.zshrc ] || . ~/.zshrc\nPS1='"+mark(place)+"'$PS1\n")
	case "fish":
		return []string{"--init-command", "functions --copy fish_prompt demo_prompt; " +
			"function fish_prompt; echo -n '" + mark(place) + "'; demo_prompt; end"}, nil, nil
	}
	return nil, []string{"PS1=" + mark(place) + "# "}, nil
}

func writeStart(path, text string) error {
	if err := os.MkdirAll(startsPath, 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
