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

// Listen opens the unix socket of the API at path, with the mode 0660. The socket belongs to the process's user, and to
// group (a name or a number), or to the process's group if group is empty. Listen creates a missing folder, and
// replaces the socket that a killed fabric has left. A socket on which a process answers is an error, and so is any
// other file.
func Listen(path, group string) (net.Listener, error) {
	gid, err := groupID(group, "api.group")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("creating the folder of the API's socket: %w", err)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := listen(path)
	if err != nil {
		return nil, fmt.Errorf("opening the API's socket: %w", err)
	}
	if gid >= 0 && gid != os.Getegid() { // the service's seccomp filter may forbid chown, even to the same group
		if err := os.Chown(path, -1, gid); err != nil {
			l.Close()
			return nil, fmt.Errorf("changing the group of the API's socket to %s (use root, CAP_CHOWN, or a group of the user): %w",
				group, err)
		}
	}
	return l, nil
}

// listen opens the socket with the mode 0660 by the umask. A chmod afterwards would leave a moment in which any user
// can connect. The umask belongs to the whole process, so files that other goroutines create meanwhile get it too.
func listen(path string) (net.Listener, error) {
	defer syscall.Umask(syscall.Umask(0o117))
	return net.Listen("unix", path)
}

// groupID returns the number of a group that a key of the configuration names, or -1 if it names none.
func groupID(group, key string) (int, error) {
	if group == "" {
		return -1, nil
	}
	if n, err := strconv.Atoi(group); err == nil {
		return n, nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, fmt.Errorf("unknown group %s for the API's socket; create the group, or change %s", group, key)
	}
	return strconv.Atoi(g.Gid)
}

// removeStale removes a socket on which no process answers.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("opening the API's socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is not a socket; remove it, or change api.socket", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
		return fmt.Errorf("another process answers on the API's socket %s; stop it, or change api.socket", path)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	return fmt.Errorf("opening the API's socket: %w", err)
}
