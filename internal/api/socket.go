package api

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Listen opens the unix socket of a fabric. Its user and group may use it, or, where one is named, that group. The
// folder is made where there is none. A socket that a fabric has left behind is replaced; one that somebody answers on
// is an error.
func Listen(path, group string) (net.Listener, error) {
	gid, err := groupID(group)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("making the folder of the API's socket: %w", err)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := listen(path)
	if err != nil {
		return nil, fmt.Errorf("opening the API's socket: %w", err)
	}
	if gid >= 0 && gid != os.Getegid() { // a service may not call chown at all
		if err := os.Chown(path, -1, gid); err != nil {
			l.Close()
			return nil, fmt.Errorf("giving the API's socket to group %s (be root, have CAP_CHOWN, or be in the group): %w",
				group, err)
		}
	}
	return l, nil
}

// listen makes a socket for its user and group alone from the start.
func listen(path string) (net.Listener, error) {
	defer syscall.Umask(syscall.Umask(0o117))
	return net.Listen("unix", path)
}

// groupID returns the number of a group, -1 for none.
func groupID(group string) (int, error) {
	if group == "" {
		return -1, nil
	}
	if n, err := strconv.Atoi(group); err == nil {
		return n, nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, fmt.Errorf("there is no group %s for the API's socket; make it, or change api.group", group)
	}
	return strconv.Atoi(g.Gid)
}

// removeStale removes a socket on which nobody answers.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("opening the API's socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is in the way of the API's socket; remove it, or change api.socket", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
		return fmt.Errorf("another arpfabric answers on %s; give this one another api.socket", path)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	return fmt.Errorf("opening the API's socket: %w", err)
}
