package tcpdump_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/arpfabric/arpfabric/internal/tcpdump"
)

// TestTcpdump parses the output of tcpdump, with and without Ethernet headers, and expects the original frames.
func TestTcpdump(t *testing.T) {
	labtest.NeedProgram(t, "tcpdump")
	lines := []string{
		"who-has 10.239.0.102 tell 10.239.0.101 from 02:00:06:de:54:a8 to ff:ff:ff:ff:ff:ff",
		"who-has 10.239.0.102 (ff:ff:ff:ff:ff:ff) tell 0.0.0.0, length 46 from 02:00:06:de:54:a8 to 02:00:07:de:54:a8",
		"who-has 10.239.0.101 tell 10.239.0.101 from 02:00:06:de:54:a8 to ff:ff:ff:ff:ff:ff",
		"reply 10.239.0.102 is-at 02:00:07:de:54:a8, length 46 from 02:00:09:de:54:a8 to 02:00:06:de:54:a8",
		"Reverse Request who-is 02:00:07:de:54:a8 tell 02:00:06:de:54:a8 to ff:ff:ff:ff:ff:ff",
		"Reverse Reply 02:00:07:de:54:a8 at 10.239.0.102 from 02:00:06:de:54:a8 to ff:ff:ff:ff:ff:ff",
		"Inverse Request who-is 02:00:07:de:54:a8 tell 02:00:06:de:54:a8 to ff:ff:ff:ff:ff:ff",
		"Inverse Reply 02:00:07:de:54:a8 at 10.239.0.102 to ff:ff:ff:ff:ff:ff",
		"vlan 10, vlan 7, who-has 10.239.0.102 tell 10.239.0.101 from 02:00:06:de:54:a8 to ff:ff:ff:ff:ff:ff",
		"vlan 10, IP 10.239.0.101.5000 > 10.239.0.102.80: TCP, length 10 from 02:00:06:de:54:a8 to 02:00:07:de:54:a8",
		"IP 10.239.0.101 > 10.239.0.102: ICMP, length 64 from 02:00:06:de:54:a8 to 02:00:07:de:54:a8",
		"IP 0.0.0.0.68 > 255.255.255.255.67: UDP, length 300 from 02:00:06:de:54:a8 to ff:ff:ff:ff:ff:ff",
		"IP 10.239.0.101.5000 > 10.239.0.102.4000: UDP, length 10 from 02:00:06:de:54:a8 to 02:00:07:de:54:a8",
		"ethertype 0x88cc, length 46 from 02:00:06:de:54:a8 to 01:80:c2:00:00:0e",
		"LLC, length 38 from 02:00:06:de:54:a8 to 01:80:c2:00:00:00",
	}
	var want []string
	for _, line := range lines {
		want = append(want, hex.EncodeToString(frameOf(t, line, "")))
	}
	capture := writeCapture(t, want)
	for i, line := range slices.Concat(printed(t, "-e", "-r", capture), printed(t, "-e", "-v", "-tttt", "-r", capture)) {
		if got, want := hex.EncodeToString(frameOf(t, line, "")), want[i%len(want)]; got != want {
			t.Errorf("%s\n%s\nwant\n%s", line, got, want)
		}
	}
	for i, line := range printed(t, "-r", capture) {
		_, macs, _ := strings.Cut(lines[i], " from ")
		kind, _, _ := strings.Cut(lines[i], " ")
		if macs == "" || kind == "vlan" || kind == "ethertype" || kind == "LLC," {
			continue // the line has the source, or lacks the tag or the EtherType
		}
		if got := hex.EncodeToString(frameOf(t, line, " from "+macs)); got != want[i] {
			t.Errorf("%s\n%s\nwant\n%s", line, got, want[i])
		}
	}
}

func frameOf(t *testing.T, line, macs string) []byte {
	t.Helper()
	p, err := tcpdump.Parse(line + macs)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return p.Frame()
}

// writeCapture writes a capture of frames in hexadecimal, and returns its path.
func writeCapture(t *testing.T, frames []string) string {
	t.Helper()
	var capture bytes.Buffer
	w := pcapgo.NewWriter(&capture)
	if err := w.WriteFileHeader(1<<16, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	for _, digits := range frames {
		frame, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		info := gopacket.CaptureInfo{Timestamp: time.Unix(0, 0), CaptureLength: len(frame), Length: len(frame)}
		if err := w.WritePacket(info, frame); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "frames.pcap")
	if err := os.WriteFile(path, capture.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// printed returns the lines that tcpdump -n prints.
func printed(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.Command("tcpdump", append([]string{"-n"}, args...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") { // it continues the one before
			lines[len(lines)-1] += line
			continue
		}
		lines = append(lines, line)
	}
	return lines
}
