package replay

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/lab"
	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

const (
	gatewayMAC  = "02:00:00:de:54:a8"
	appMAC      = "02:00:06:de:54:a8"
	dbMAC       = "02:00:07:de:54:a8"
	strangerMAC = "02:00:09:de:54:a8"
)

// labConfig is the network of the seed capture, with another guest that is tied to a port.
const labConfig = `networks:
  lab:
    attach: {bridge: br0}
    registry:
      10.239.0.1:   "02:00:00:de:54:a8"
      10.239.0.101: "02:00:06:de:54:a8"
      10.239.0.102: "02:00:07:de:54:a8"
      10.239.0.103: {mac: "02:00:08:de:54:a8", port: vnet3}
`

// load loads the one network of a configuration.
func load(t testing.TB, text string) *config.Network {
	t.Helper()
	return loadAt(t, filepath.Join(t.TempDir(), "lab.yaml"), text)
}

// loadAt writes the configuration to a file and loads that.
func loadAt(t testing.TB, path, text string) *config.Network {
	t.Helper()
	labtest.Write(t, path, text)
	c, err := config.Load(path)
	labtest.Must(t, err)
	return &c.Networks[0]
}

func parseMAC(s string) net.HardwareAddr {
	mac, err := net.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return mac
}

// request returns a guest's broadcast request.
func request(mac, sender, target string) []byte {
	return lab.Request(parseMAC(mac), netip.MustParseAddr(sender), netip.MustParseAddr(target)).Frame()
}

// probe returns a probe as in the seed capture, with the target MAC ff:ff:ff:ff:ff:ff.
func probe(mac, target string) []byte {
	frame := request(mac, "0.0.0.0", target)
	copy(frame[32:38], ethernet.Broadcast)
	return frame
}

// reply returns a reply to a guest that mac has an address, padded as in the cloud VPC.
func reply(mac, addr, requesterMAC, requester string) []byte {
	frame := lab.ARP{
		Destination: parseMAC(requesterMAC), Source: parseMAC(mac), Operation: arp.OperationReply,
		SenderHardwareAddr: parseMAC(mac), SenderIP: netip.MustParseAddr(addr),
		TargetHardwareAddr: parseMAC(requesterMAC), TargetIP: netip.MustParseAddr(requester),
	}.Frame()
	return append(frame, make([]byte, 60-len(frame))...)
}

// tagged puts frame into a VLAN.
func tagged(vlan uint16, frame []byte) []byte {
	tag := binary.BigEndian.AppendUint16([]byte{0x81, 0x00}, vlan)
	return append(append(bytes.Clone(frame[:12]), tag...), frame[12:]...)
}

// start is the time at which captures begin.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A taken frame is a frame of a capture that a test makes.
type taken struct {
	after time.Duration // since start
	frame []byte
	lost  int // bytes at its end that are not in the capture
}

// each returns frames a millisecond apart.
func each(frames ...[]byte) []taken {
	all := make([]taken, len(frames))
	for i, frame := range frames {
		all[i] = taken{after: time.Duration(i) * time.Millisecond, frame: frame}
	}
	return all
}

func (t taken) info() gopacket.CaptureInfo {
	return gopacket.CaptureInfo{
		Timestamp: start.Add(t.after), CaptureLength: len(t.frame) - t.lost, Length: len(t.frame),
	}
}

// pcap writes a capture in the pcap format.
func pcap(t testing.TB, linkType layers.LinkType, frames []taken) []byte {
	t.Helper()
	var out bytes.Buffer
	w := pcapgo.NewWriter(&out)
	labtest.Must(t, w.WriteFileHeader(maxFrame, linkType))
	for _, f := range frames {
		labtest.Must(t, w.WritePacket(f.info(), f.frame[:len(f.frame)-f.lost]))
	}
	return out.Bytes()
}

// pcapng writes a capture in the pcapng format, with the frames in turn on interfaces of these link types.
func pcapng(t testing.TB, frames []taken, linkTypes ...layers.LinkType) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := pcapgo.NewNgWriter(&out, linkTypes[0])
	labtest.Must(t, err)
	for _, linkType := range linkTypes[1:] {
		_, err := w.AddInterface(pcapgo.NgInterface{Name: "eth1", LinkType: linkType, SnapLength: maxFrame})
		labtest.Must(t, err)
	}
	for i, f := range frames {
		info := f.info()
		info.InterfaceIndex = i % len(linkTypes)
		labtest.Must(t, w.WritePacket(info, f.frame[:len(f.frame)-f.lost]))
	}
	labtest.Must(t, w.Flush())
	return out.Bytes()
}

// run replays a capture on labConfig, and returns the summary and the lines.
func run(t testing.TB, capture []byte) (*Summary, string) {
	t.Helper()
	var lines bytes.Buffer
	s, err := Run(context.Background(), bytes.NewReader(capture), load(t, labConfig), &lines)
	labtest.Must(t, err)
	return s, lines.String()
}

var update = flag.Bool("update", false, "write the files in testdata anew")

// checkGolden compares text with a file in testdata.
func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		labtest.Must(t, os.WriteFile(filepath.Join("testdata", name), []byte(got), 0o644))
	}
	want, err := os.ReadFile(filepath.Join("testdata", name))
	labtest.Must(t, err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func text(t *testing.T, s *Summary) string {
	t.Helper()
	var out bytes.Buffer
	labtest.Must(t, s.WriteText(&out))
	return out.String()
}

func asJSON(t *testing.T, s *Summary) string {
	t.Helper()
	var out bytes.Buffer
	labtest.Must(t, s.WriteJSON(&out))
	return out.String()
}
