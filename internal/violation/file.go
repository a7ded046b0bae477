package violation

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
)

// fileVersion is the version of the format of files. A file of another version is not read.
const fileVersion = 1

// maxFile is the most that a file may have, in bytes. MaxRecords take less.
const maxFile = 4 << 20

// A savedFile is the content of a file with records.
type savedFile struct {
	Version int           `json:"version"`
	Records []savedRecord `json:"records"`
}

// A savedRecord has the fields of a Record, except the owner, who may be another one when the file is read.
type savedRecord struct {
	Network string     `json:"network"`
	Port    string     `json:"port"`
	Reason  string     `json:"reason"`
	Action  string     `json:"action"`
	MAC     string     `json:"mac"`
	Sender  netip.Addr `json:"sender"`
	Target  netip.Addr `json:"target"`
	First   time.Time  `json:"first"`
	Last    time.Time  `json:"last"`
	Count   uint64     `json:"count"`
}

// WriteFile replaces the file at path by one with these records, for ReadFile.
func WriteFile(path string, records []Record) error {
	content := savedFile{Version: fileVersion, Records: make([]savedRecord, len(records))}
	for i, r := range records {
		content.Records[i] = savedRecord{
			Network: r.Network, Port: r.Port, Reason: r.Reason.String(), Action: r.Action.String(),
			MAC: r.MAC.String(), Sender: r.Sender, Target: r.Target, First: r.First, Last: r.Last, Count: r.Count,
		}
	}
	data, err := json.Marshal(content)
	if err != nil {
		return err
	}
	return replaceFile(path, append(data, '\n'))
}

// replaceFile writes a file of another name and renames it, so that a reader finds the old content or the new one.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// ReadFile returns the records of a file that WriteFile has written, without owners. It returns none if there is no file.
func ReadFile(path string) ([]Record, error) {
	data, err := readOwn(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var content savedFile
	if err := json.Unmarshal(data, &content); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if content.Version != fileVersion {
		return nil, fmt.Errorf("%s has the version %d of the format, not %d", path, content.Version, fileVersion)
	}
	records := make([]Record, len(content.Records))
	for i, saved := range content.Records {
		if records[i], err = saved.record(); err != nil {
			return nil, fmt.Errorf("%s: record %d: %w", path, i+1, err)
		}
	}
	return records, nil
}

// readOwn reads a regular file of the program's own user: its folder may be one in which others can write.
func readOwn(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !info.Mode().IsRegular() || !ok || int(stat.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("%s is not a file of the user that arpfabric runs as", path)
	}
	return io.ReadAll(io.LimitReader(f, maxFile))
}

func (saved savedRecord) record() (Record, error) {
	mac, err := registry.ParseMAC(saved.MAC)
	if err != nil {
		return Record{}, err
	}
	reason, known := responder.ReasonOf(saved.Reason)
	action, isAction := responder.ActionOf(saved.Action)
	if !known || !isAction || !Is(reason) {
		return Record{}, fmt.Errorf("%s %s is no violation", saved.Action, saved.Reason)
	}
	return Record{
		Violation: Violation{
			Network: saved.Network, Port: saved.Port, Reason: reason, Action: action,
			SenderIdentity: responder.SenderIdentity{MAC: mac, Sender: saved.Sender, Target: saved.Target},
		},
		First: saved.First, Last: saved.Last, Count: saved.Count,
	}, nil
}
