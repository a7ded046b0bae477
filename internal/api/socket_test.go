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
)

// leaveBehind makes a socket on which nobody answers, as a fabric that was killed does.
func leaveBehind(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestListen(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0)) // a daemon's
	path := filepath.Join(shortDir(t), "run", "arpfabric", "api.sock")
	for _, prepare := range []func(){
		func() {}, // the folder is made
		func() { leaveBehind(t, path) },
	} {
		prepare()
		l, err := Listen(path, "")
		must(t, err)
		info, err := os.Lstat(path)
		must(t, err)
		if info.Mode() != os.ModeSocket|0o660 {
			t.Errorf("the socket's mode is %v", info.Mode())
		}
		l.Close()
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("after it was closed: %v", err)
		}
	}
	if umask := syscall.Umask(0); umask != 0 {
		t.Errorf("the umask has become %o", umask)
	}
}

// TestNeverOpen holds that the socket has its mode before anybody could connect: it is made with it.
func TestNeverOpen(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	path := filepath.Join(shortDir(t), "api.sock")
	l, err := listen(path)
	must(t, err)
	defer l.Close()
	info, err := os.Lstat(path)
	must(t, err)
	if info.Mode().Perm() != 0o660 {
		t.Errorf("the socket's mode is %v when it is made", info.Mode())
	}
}

// TestGroup gives the socket to a group that the user is in, or, as root, to any.
func TestGroup(t *testing.T) {
	gid := os.Getegid()
	if os.Geteuid() == 0 {
		gid = 65534
	}
	number := uint32(gid)
	group, err := user.LookupGroupId(strconv.Itoa(gid))
	must(t, err)
	for _, name := range []string{group.Name, group.Gid} {
		path := filepath.Join(shortDir(t), "api.sock")
		l, err := Listen(path, name)
		must(t, err)
		info, err := os.Lstat(path)
		must(t, err)
		if got := info.Sys().(*syscall.Stat_t).Gid; got != number || info.Mode().Perm() != 0o660 {
			t.Errorf("group %s: the socket is of group %d, mode %v", name, got, info.Mode())
		}
		l.Close()
	}
}

func TestListenFails(t *testing.T) {
	dir := shortDir(t)
	inDir := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.WriteFile(inDir("file"), nil, 0o600))
	must(t, os.Mkdir(inDir("folder"), 0o700))
	live, err := net.Listen("unix", inDir("live"))
	must(t, err)
	defer live.Close()
	long := inDir(strings.Repeat("x", 108-len(inDir(""))))
	tests := []struct{ name, path, group, want string }{
		{"somebody answers", inDir("live"), "", "another arpfabric answers on " + inDir("live") +
			"; give this one another api.socket"},
		{"a file", inDir("file"), "", inDir("file") + " is in the way of the API's socket; remove it, or change api.socket"},
		{"a folder", inDir("folder"), "", inDir("folder") +
			" is in the way of the API's socket; remove it, or change api.socket"},
		{"a file for a folder", inDir("file/api.sock"), "", "making the folder of the API's socket: mkdir " + inDir("file") +
			": not a directory"},
		{"no group", inDir("api.sock"), "nobodys", "there is no group nobodys for the API's socket; make it, or change api.group"},
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
		t.Errorf("the file in the way: %v", err)
	}
	var d net.Dialer
	conn, err := d.DialContext(context.Background(), "unix", inDir("live"))
	must(t, err)
	conn.Close()
}
