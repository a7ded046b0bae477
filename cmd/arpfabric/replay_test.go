package main

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/mdlayher/arp"
)

// capturePath writes a capture with a request of app for the gateway, and an answer from a MAC.
func capturePath(t *testing.T, answeredBy [6]byte) string {
	t.Helper()
	app := []byte{0x02, 0, 0x06, 0xde, 0x54, 0xa8}
	guest, gateway := netip.MustParseAddr("10.239.0.101"), netip.MustParseAddr("10.239.0.1")
	var out bytes.Buffer
	w := pcapgo.NewWriter(&out)
	labtest.Must(t, w.WriteFileHeader(65535, layers.LinkTypeEthernet))
	for _, frame := range [][]byte{
		lab.Request(app, guest, gateway).Frame(),
		lab.ARP{
			Destination: app, Source: answeredBy[:], Operation: arp.OperationReply,
			SenderHardwareAddr: answeredBy[:], SenderIP: gateway, TargetHardwareAddr: app, TargetIP: guest,
		}.Frame(),
	} {
		labtest.Must(t, w.WritePacket(gopacket.CaptureInfo{
			Timestamp: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), CaptureLength: len(frame), Length: len(frame),
		}, frame))
	}
	path := filepath.Join(t.TempDir(), "capture.pcap")
	labtest.Must(t, os.WriteFile(path, out.Bytes(), 0o600))
	return path
}

func TestReplay(t *testing.T) {
	skipIfShort(t)
	gateway, other := [6]byte{0x02, 0, 0, 0xde, 0x54, 0xa8}, [6]byte{0x02, 0, 0x09, 0xde, 0x54, 0xa8}
	file := labtest.TempFile(t, "arpfabric.yaml", onBridge(""))
	two := labtest.TempFile(t, "arpfabric.yaml", onBridge("  spare:\n    attach: {bridge: br1}"+bindings))
	same, differs := capturePath(t, gateway), capturePath(t, other)
	damaged := labtest.TempFile(t, "arpfabric.yaml", "\x0a\x0d\x0d\x0a\x1c\x00\x00\x00\x4d\x3c\x2b\x1a\x01\x00\x00\x00"+
		strings.Repeat("\xff", 8)+"\x1c\x00\x00\x00"+"\x01\x00\x00\x00\x21\x00\x00\x00\x00\x00\x00\x00")
	seeHelp := "; see 'arpfabric replay --help'\n"
	tests := []struct {
		name string
		args []string
		code int
		want string // in the output
	}{
		{"same", []string{"--config", file, same}, 0, "        1  same answer\n"},
		{"differs", []string{"--config", file, differs}, 1,
			"        1  10.239.0.1  02:00:00:de:54:a8  02:00:09:de:54:a8\n"},
		{"verbose", []string{"--config", file, "--verbose", same}, 0,
			"      2  ARP, Reply 10.239.0.1 is-at 02:00:00:de:54:a8, length 28: same answer\n"},
		{"JSON", []string{"--config", file, "--json", differs}, 1, `"ours": "02:00:00:de:54:a8"`},
		{"learn", []string{"--learn", same}, 0, "      10.239.0.1: \"02:00:00:de:54:a8\"\n"},
		{"one of two", []string{"--config", two, "--network", "spare", same}, 0,
			"network spare: 2 frames, 2 of them ARP\n"},
		{"which of two", []string{"--config", two, same}, 2,
			"arpfabric: " + two + " has the networks lab, spare; choose one with --network" + seeHelp},
		{"none of two", []string{"--config", two, "--network", "labs", same}, 2,
			"arpfabric: " + two + " has the networks lab, spare, but not \"labs\"" + seeHelp},
		{"neither", []string{same}, 2, "arpfabric: give exactly one of --config and --learn" + seeHelp},
		{"both", []string{"--config", file, "--learn", same}, 2,
			"arpfabric: give exactly one of --config and --learn" + seeHelp},
		{"learn as JSON", []string{"--learn", "--json", same}, 2,
			"arpfabric: --network, --verbose and --json cannot be used with --learn" + seeHelp},
		{"verbose JSON", []string{"--config", file, "--verbose", "--json", same}, 2,
			"arpfabric: give only one of --verbose and --json" + seeHelp},
		{"no capture", []string{"--config", file}, 2, "arpfabric: missing argument CAPTURE" + seeHelp},
		{"not a capture", []string{"--config", file, file}, 1,
			"arpfabric: " + file + ": not a capture in the pcap or pcapng format (Unknown magic 7774656e)\n"},
		{"damaged", []string{"--config", file, damaged}, 1,
			"arpfabric: " + damaged + ": cannot read the capture up to its first frame: a block is 33 bytes long\n"},
		{"missing", []string{"--config", file, same + "x"}, 1,
			"arpfabric: open " + same + "x: no such file or directory\n"},
		{"no configuration", []string{"--config", same + "x", same}, 1,
			"arpfabric: " + same + "x: cannot read the file: no such file or directory\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, out := runToEnd(t, nil, append([]string{"replay"}, tt.args...)...)
			if code != tt.code || !strings.Contains(out, tt.want) {
				t.Errorf("exit code %d\n%s\nwant %d and\n%s", code, out, tt.code, tt.want)
			}
		})
	}
	t.Run("standard input", func(t *testing.T) {
		pipe := []string{"sh", "-c", `file=$0; "$@" <"$file"`, same}
		code, out := runToEnd(t, pipe, "replay", "--config", file, "-")
		if code != 0 || !strings.Contains(out, "1  same answer\n") {
			t.Errorf("exit code %d\n%s", code, out)
		}
	})
}

// TestReplayGuestsCapture replays a capture that tcpdump wrote in a guest of a running fabric. The same registry must
// give the same answers, another registry must not, and --learn must find the bindings that the guest has seen.
func TestReplayGuestsCapture(t *testing.T) {
	labtest.NeedProgram(t, "tcpdump")
	s := newStage(t)
	file := labtest.TempFile(t, "arpfabric.yaml", onBridge(""))
	arpfabric(t, nil, "run", "--config", file).expectLog(t, "network attached")
	capture := filepath.Join(t.TempDir(), "guest.pcap")
	stop := startTcpdump(t, s.app, capture)
	s.app.expectAnswered(t)
	stop()

	replayed := func(file string) (code int, out string) {
		return runToEnd(t, nil, "replay", "--config", file, capture)
	}
	some := regexp.MustCompile(`\n +[1-9]\d*  (same|other) answer\n`)
	if code, out := replayed(file); code != 0 || some.FindString(out) == "" {
		t.Errorf("exit code %d\n%s", code, out)
	}
	moved := labtest.TempFile(t, "arpfabric.yaml", strings.Replace(onBridge(""), "02:00:00:de:54:a8", "02:00:00:00:00:01", 1))
	if code, out := replayed(moved); code != 1 || !strings.Contains(some.FindString(out), "other") {
		t.Errorf("with another gateway: exit code %d\n%s", code, out)
	}
	code, out := runToEnd(t, nil, "replay", "--learn", capture)
	if code != 0 || !strings.Contains(out, "\n      10.239.0.1: \"02:00:00:de:54:a8\"\n") {
		t.Errorf("learning: exit code %d\n%s", code, out)
	}
}

// startTcpdump captures ARP in a guest to a file. The returned function waits until the file has an answer, and stops
// it.
func startTcpdump(t *testing.T, g *guest, path string) (stop func()) {
	t.Helper()
	// -Z root: a user namespace has no other user to which tcpdump could change.
	cmd := exec.Command("tcpdump", "-Z", "root", "--immediate-mode", "-U", "-i", "eth0", "-w", path, "arp")
	var said output
	cmd.Stderr = &said
	labtest.Must(t, g.Start(cmd))
	end := sync.OnceFunc(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	})
	t.Cleanup(end)
	labtest.Eventually(t, "tcpdump listens", func() bool { return strings.Contains(said.String(), "listening on") })
	return func() {
		labtest.Eventually(t, "tcpdump has written an answer", func() bool {
			data, _ := os.ReadFile(path)
			return bytes.Contains(data, []byte{0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2})
		})
		end()
	}
}
