package replay

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/lab/labtest"
	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/layers"
)

// seed is a capture in guest 10.239.0.101 of a cloud VPC's subnet.
func seed() []taken {
	return each(
		request(appMAC, "10.239.0.101", "10.239.0.1"), reply(gatewayMAC, "10.239.0.1", appMAC, "10.239.0.101"),
		request(appMAC, "10.239.0.101", "10.239.0.102"), reply(dbMAC, "10.239.0.102", appMAC, "10.239.0.101"),
		probe(appMAC, "10.239.0.101"), reply(appMAC, "10.239.0.101", appMAC, "0.0.0.0"),
		probe(appMAC, "10.239.0.101"), reply(appMAC, "10.239.0.101", appMAC, "0.0.0.0"),
		request(appMAC, "10.239.0.101", "10.239.0.77"),
	)
}

// mixed has a frame of each kind that a replay distinguishes.
func mixed() []taken {
	const app, db = "10.239.0.101", "10.239.0.102"
	frames := each(
		request(appMAC, app, db), reply(strangerMAC, db, appMAC, app), // an impostor is first...
		reply(dbMAC, db, appMAC, app), reply(dbMAC, db, appMAC, app), // ...then the owner, twice
		request(strangerMAC, "10.239.0.9", db), reply(dbMAC, db, strangerMAC, "10.239.0.9"),
		request(appMAC, app, "10.239.0.77"), reply(strangerMAC, "10.239.0.77", appMAC, app),
		request(strangerMAC, db, "10.239.0.1"),
		request(appMAC, app, "10.239.0.1"), request(appMAC, app, "10.239.0.1"),
		request("02:00:08:de:54:a8", "10.239.0.103", db), reply(dbMAC, db, "02:00:08:de:54:a8", "10.239.0.103"),
		tagged(7, request(appMAC, app, db)), tagged(7, reply(dbMAC, db, appMAC, app)),
		request(appMAC, app, app),
		reply(dbMAC, db, gatewayMAC, "10.239.0.1"),
		append(request(appMAC, app, db)[:38:38], 0),
		append(request(appMAC, app, db)[:12:12], 0x08, 0x00, 0x45),
	)
	return append(frames,
		taken{after: time.Second, frame: reply(dbMAC, db, appMAC, app), lost: 18},
		taken{after: time.Second, frame: reply(dbMAC, db, appMAC, app), lost: 19},
		taken{after: time.Second, frame: reply(dbMAC, db, appMAC, app), lost: 50},
	)
}

func TestRun(t *testing.T) {
	tests := []struct {
		name   string
		frames []taken
		same   bool
	}{
		{"seed", seed(), true},
		{"mixed", mixed(), false},
		{"nothing", nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, lines := run(t, pcap(t, layers.LinkTypeEthernet, tt.frames))
			checkGolden(t, tt.name+".txt", lines+"\n"+text(t, s))
			if s.Same() != tt.same {
				t.Errorf("Same() is %v", s.Same())
			}
			checkGolden(t, tt.name+".json", asJSON(t, s))
		})
	}
}

// TestFormats expects the same result from all formats of a capture.
func TestFormats(t *testing.T) {
	plain := pcap(t, layers.LinkTypeEthernet, mixed())
	want, wantLines := run(t, plain)
	formats := map[string][]byte{
		"big endian":    swapped(plain),
		"nanoseconds":   nanoseconds(plain),
		"pcapng":        pcapng(t, mixed(), layers.LinkTypeEthernet),
		"two in pcapng": pcapng(t, mixed(), layers.LinkTypeEthernet, layers.LinkTypeEthernet),
		"gzip":          compressed(t, plain),
		"gzip, pcapng":  compressed(t, pcapng(t, mixed(), layers.LinkTypeEthernet)),
	}
	for name, capture := range formats {
		t.Run(name, func(t *testing.T) {
			got, lines := run(t, capture)
			if diff := cmp.Diff(asJSON(t, want), asJSON(t, got)) + cmp.Diff(wantLines, lines); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// swapped reverses the byte order of a pcap file.
func swapped(capture []byte) []byte {
	out := bytes.Clone(capture)
	swap := func(at, n int) {
		for i, j := at, at+n-1; i < j; i, j = i+1, j-1 {
			out[i], out[j] = out[j], out[i]
		}
	}
	swap(0, 4)
	swap(4, 2)
	swap(6, 2)
	for at := 8; at < 24; at += 4 {
		swap(at, 4)
	}
	for at := 24; at < len(out); {
		length := int(binary.LittleEndian.Uint32(out[at+8:]))
		for i := range 4 {
			swap(at+i*4, 4)
		}
		at += 16 + length
	}
	return out
}

// nanoseconds marks the times of a pcap file as nanoseconds, which divides them by a thousand.
func nanoseconds(capture []byte) []byte {
	out := bytes.Clone(capture)
	binary.LittleEndian.PutUint32(out, 0xa1b23c4d)
	return out
}

func compressed(t *testing.T, capture []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(capture)
	labtest.Must(t, err)
	labtest.Must(t, w.Close())
	return out.Bytes()
}

func TestWindow(t *testing.T) {
	asked := request(appMAC, "10.239.0.101", "10.239.0.1")
	answered := reply(gatewayMAC, "10.239.0.1", appMAC, "10.239.0.101")
	forged := bytes.Clone(asked)
	copy(forged[6:12], parseMAC(strangerMAC)) // which the fabric drops
	tests := []struct {
		name   string
		frames []taken
		want   Answers
		as     int // number of replies that are compared as answers
	}{
		{"in time", []taken{{frame: asked}, {after: window, frame: answered}}, Answers{Same: 1}, 1},
		{"too late", []taken{{frame: asked}, {after: window + 1000, frame: answered}}, Answers{OursOnly: 1}, 0},
		{"asked again", []taken{{frame: asked}, {after: window, frame: asked}, {after: 2 * window, frame: answered}},
			Answers{Same: 1}, 1},
		{"forged before", []taken{{frame: forged}, {frame: asked}, {frame: answered}}, Answers{Same: 1}, 1},
		{"forged after", []taken{{frame: asked}, {frame: forged}, {frame: answered}}, Answers{Same: 1}, 1},
		{"answered twice", []taken{{frame: asked}, {frame: answered}, {frame: answered}}, Answers{Same: 1}, 2},
		{"each answered", []taken{{frame: asked}, {frame: answered}, {frame: asked}, {frame: answered}},
			Answers{Same: 2}, 2},
		{"before the request, by the clock", []taken{{after: time.Minute, frame: asked}, {frame: answered}},
			Answers{Same: 1}, 1},
		{"before the request", []taken{{frame: answered}, {after: 1000, frame: asked}}, Answers{OursOnly: 1}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := run(t, pcap(t, layers.LinkTypeEthernet, tt.frames))
			if s.Answers != tt.want || s.Frames.Answers != tt.as {
				t.Errorf("%+v, %d compared as answers; want %+v, %d", s.Answers, s.Frames.Answers, tt.want, tt.as)
			}
		})
	}
}

// TestBounds has more requests at once than are kept, and more different answers than are listed.
func TestBounds(t *testing.T) {
	var frames []taken
	for i := range maxPending + 2 {
		target := fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&0xff, i&0xff)
		frames = append(frames, taken{frame: request(appMAC, "10.239.0.101", target)})
	}
	for i := range maxRows + 3 {
		mac := fmt.Sprintf("02:00:00:00:00:%02x", i)
		frames = append(frames, taken{frame: reply(mac, fmt.Sprintf("10.0.255.%d", i), appMAC, "10.239.0.101")})
	}
	s, _ := run(t, pcap(t, layers.LinkTypeEthernet, frames))
	want := Answers{CapturedOnly: maxRows + 3, Neither: maxPending - maxRows - 3, NotCompared: 2}
	if diff := cmp.Diff(want, s.Answers); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(s.CapturedOnly) != maxRows || s.MoreCapturedOnly != 3 {
		t.Errorf("%d listed and %d more", len(s.CapturedOnly), s.MoreCapturedOnly)
	}
	out := text(t, s)
	for _, line := range []string{
		"\nand 3 more\n",
		"\nwarning: 2 requests were not compared: more than 65536 were unanswered within 5s\n",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q in\n%s", line, out)
		}
	}
}

// TestInterrupted expects the summary of the frames read before the interruption.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s, err := Run(ctx, bytes.NewReader(pcap(t, layers.LinkTypeEthernet, seed())), load(t, labConfig), nil)
	labtest.Must(t, err)
	want := []string{"interrupted after frame 1; the rest of the capture was not read"}
	if diff := cmp.Diff(want, s.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}
