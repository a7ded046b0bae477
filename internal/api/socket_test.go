package api

import (
	"context"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
)

// leaveBehind makes a socket on which no process answers, as a killed fabric leaves it.
func leaveBehind(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	labtest.Must(t, err)
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestListen(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0)) // a service may have no umask
	path := filepath.Join(shortDir(t), "run", "arpfabric", "api.sock")
	for _, prepare := range []func(){
		func() {}, // Listen creates the folder
		func() { leaveBehind(t, path) },
	} {
		prepare()
		l, err := Listen(path, "")
		labtest.Must(t, err)
		info, err := os.Lstat(path)
		labtest.Must(t, err)
		if info.Mode() != os.ModeSocket|0o660 {
			t.Errorf("the socket's mode is %v", info.Mode())
		}
		l.Close()
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("the closed socket remains: %v", err)
		}
	}
	if umask := syscall.Umask(0); umask != 0 {
		t.Errorf("the umask has become %o", umask)
	}
}

// TestMode checks that the socket has its mode from the start, before another user can connect.
func TestMode(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	path := filepath.Join(shortDir(t), "api.sock")
	l, err := listen(path)
	labtest.Must(t, err)
	defer l.Close()
	info, err := os.Lstat(path)
	labtest.Must(t, err)
	if info.Mode().Perm() != 0o660 {
		t.Errorf("the new socket's mode is %v", info.Mode())
	}
}

// TestGroup gives the socket to a group of the user or, as root, to any group.
func TestGroup(t *testing.T) {
	gid := os.Getegid()
	if os.Geteuid() == 0 {
		gid = 65534
	}
	number := uint32(gid)
	group, err := user.LookupGroupId(strconv.Itoa(gid))
	labtest.Must(t, err)
	for _, name := range []string{group.Name, group.Gid} {
		path := filepath.Join(shortDir(t), "api.sock")
		l, err := Listen(path, name)
		labtest.Must(t, err)
		info, err := os.Lstat(path)
		labtest.Must(t, err)
		if got := info.Sys().(*syscall.Stat_t).Gid; got != number || info.Mode().Perm() != 0o660 {
			t.Errorf("group %s: the socket is of group %d, mode %v", name, got, info.Mode())
		}
		l.Close()
	}
}

func TestListenFails(t *testing.T) {
	dir := shortDir(t)
	inDir := func(name string) string { return filepath.Join(dir, name) }
	labtest.Must(t, os.WriteFile(inDir("file"), nil, 0o600))
	labtest.Must(t, os.Mkdir(inDir("folder"), 0o700))
	live, err := net.Listen("unix", inDir("live"))
	labtest.Must(t, err)
	defer live.Close()
	long := inDir(strings.Repeat("x", 108-len(inDir(""))))
	tests := []struct{ name, path, group, want string }{
		{"another process answers", inDir("live"), "", "another process answers on the API's socket " + inDir("live") +
			"; stop it, or change api.socket"},
		{"a file", inDir("file"), "", inDir("file") + " exists and is not a socket; remove it, or change api.socket"},
		{"a folder", inDir("folder"), "", inDir("folder") +
			" exists and is not a socket; remove it, or change api.socket"},
		{"a file for a folder", inDir("file/api.sock"), "", "creating the folder of the API's socket: mkdir " + inDir("file") +
			": not a directory"},
		{"no group", inDir("api.sock"), "nobodys", "unknown group nobodys for the API's socket; create the group, or change api.group"},
		{"too long", long, "", "opening the API's socket: listen unix " + long + ": bind: invalid argument"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := Listen(tt.path, tt.group)
			if err == nil {
				l.Close()
				t.Fatal("no error")
			}
			if err.Error() != tt.want {
				t.Errorf("got error %s\nwant %s", err, tt.want)
			}
		})
	}
	if _, err := os.Stat(inDir("file")); err != nil {
		t.Errorf("Listen removed the file: %v", err)
	}
	var d net.Dialer
	conn, err := d.DialContext(context.Background(), "unix", inDir("live"))
	labtest.Must(t, err)
	conn.Close()
}
