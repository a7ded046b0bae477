package show

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// A packet is an event as a reader of the capture sees it.
type packet struct {
	Port, Comment string
	At            time.Time
	Frame         []byte
	Length        int
}

func TestCapture(t *testing.T) {
	request := frame(t, "////////AgAH3lSoCAYAAQgABgQAAQIAB95UqArvAGYAAAAAAAAK7wBl")
	long := bytes.Repeat([]byte{0xda}, 128)
	at := time.Date(2026, 3, 2, 9, 5, 7, 1234567, time.UTC)
	events := []api.Event{
		{Time: at, Network: "lab", Port: "vnet2", Action: "reply", Reason: "answered", Frame: request, Length: 42},
		{Time: time.Date(2026, 3, 2, 9, 5, 8, 0, time.Local), Lost: 7},
		{Time: at.Add(time.Millisecond), Network: "b", Port: "vnet9", Action: "drop", Reason: "unknown-target", DryRun: true, Frame: request, Length: 42},
		{Time: at.Add(time.Second), Network: "lab", Port: "vnet2", Action: "drop", Reason: "spoofed-source", Frame: long, Length: 1514},
	}
	var file, losses bytes.Buffer
	c := capture(t, &file, NewOutput(&losses))
	for _, e := range events {
		if err := c.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	want := []packet{
		{"vnet2", "lab: reply answered", at, request, 42},
		{"vnet9", "b: drop unknown-target (classic)", at.Add(time.Millisecond), request, 42},
		{"vnet2", "lab: drop spoofed-source", at.Add(time.Second), long, 1514},
	}
	if diff := cmp.Diff(want, packets(t, &file)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	const lost = "09:05:08.000000 7 events were lost: there were too many; use filters, such as --reason\n"
	if losses.String() != lost {
		t.Errorf("losses are reported as %q; want %q", losses.String(), lost)
	}
}

func capture(t *testing.T, w io.Writer, losses *Output) *Capture {
	t.Helper()
	c, err := NewCapture(w, losses)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func frame(t *testing.T, text string) []byte {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func packets(t *testing.T, file io.Reader) []packet {
	t.Helper()
	r, err := pcapgo.NewNgReader(file, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	var all []packet
	for {
		data, info, options, err := r.ReadPacketDataWithOptions()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		port, err := r.Interface(info.InterfaceIndex)
		if err != nil || port.LinkType != layers.LinkTypeEthernet {
			t.Errorf("interface %d: %v, link type %v", info.InterfaceIndex, err, port.LinkType)
		}
		all = append(all, packet{port.Name, strings.Join(options.Comments, "; "), info.Timestamp.UTC(), data, info.Length})
	}
}

// TestCaptureFlushes checks that the file is a valid capture from the start, and has each packet as soon as Event
// returns.
func TestCaptureFlushes(t *testing.T) {
	var file bytes.Buffer
	c := capture(t, &file, NewOutput(io.Discard))
	if got := packets(t, bytes.NewReader(file.Bytes())); got != nil {
		t.Errorf("%v before the first event", got)
	}
	for n := 1; n <= 3; n++ {
		err := c.Event(api.Event{Time: time.Unix(1, 0), Port: "vnet2", Frame: make([]byte, 42), Length: 42})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(packets(t, bytes.NewReader(file.Bytes()))); got != n {
			t.Errorf("%d packets after %d events", got, n)
		}
	}
}

// TestCaptureFull checks that a full disk is an error, at whichever byte.
func TestCaptureFull(t *testing.T) {
	write := func(w io.Writer) error {
		c, err := NewCapture(w, NewOutput(io.Discard))
		if err != nil {
			return err
		}
		return c.Event(api.Event{Time: time.Unix(1, 0), Port: "vnet2", Frame: make([]byte, 42), Length: 42})
	}
	var whole bytes.Buffer
	if err := write(&whole); err != nil {
		t.Fatal(err)
	}
	for capacity := range whole.Len() {
		if err := write(&fullDisk{capacity}); !errors.Is(err, errFull) {
			t.Errorf("with space for %d of %d bytes: error %v", capacity, whole.Len(), err)
		}
	}
}
