package top

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/event"
	"github.com/arpfabric/arpfabric/internal/explain"
	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// A fake is a fabric with one event: a frame that vnet1 had dropped, or one of vnet2 that was answered.
type fake struct{ err error }

func (f fake) Status(context.Context) (api.Status, error) { return api.Status{}, f.err }
func (f fake) Ports(context.Context) ([]api.Port, error)  { return nil, f.err }
func (f fake) Violations(context.Context, api.ViolationFilter) ([]api.Violation, error) {
	return nil, f.err
}

func (f fake) LastEvent(_ context.Context, filter event.Filter) (api.Event, bool, error) {
	switch isDrop := len(filter.Actions) > 0; {
	case filter.Ports[0] == "vnet1" && isDrop:
		return api.Event{Time: noon.Add(-time.Minute), Action: "drop", Frame: []byte{0xab}}, true, f.err
	case filter.Ports[0] == "vnet2" && !isDrop:
		return api.Event{Time: noon, Action: "reply", Frame: []byte{0xcd}}, true, f.err
	}
	return api.Event{}, false, f.err
}

func (f fake) Explain(_ context.Context, q explain.Question) (explain.Explanation, error) {
	return explain.Explanation{Port: q.Network + "/" + q.Port, Action: "drop", Reason: q.Hex}, f.err
}

func sampleAt(seconds int, answered, refused uint64) sampled {
	seen := noon.Add(-5 * time.Second)
	return sampled{sample{
		at: noon.Add(time.Duration(seconds) * time.Second),
		status: api.Status{
			Version: "v1.0.0", Networks: []api.Network{{Name: "lab", Bindings: 3}}, Violations: api.Violations{Records: 1},
		},
		ports: []api.Port{
			{Network: "lab", Name: "br0", Kind: api.Host, Index: 5},
			{
				Network: "lab", Name: "vnet1", Kind: api.GuestPort, Index: 6, LastSeen: &seen,
				Reasons: map[string]uint64{"answered": answered, "spoofed-sender": 1},
				MACs:    []api.LocatedMAC{{MAC: "02:00:06:de:54:a8", Addresses: []string{"10.239.0.101"}, From: "arp", Since: seen}},
			},
			{
				Network: "lab", Name: "vnet2", Kind: api.GuestPort, Index: 7, Refused: refused,
				MACs: []api.LocatedMAC{{MAC: "02:00:07:de:54:a8", Addresses: []string{"10.239.0.102"}, Name: "db", From: "binding", Since: seen}},
			},
		},
		violations: []api.Violation{{Network: "lab", Port: "vnet1", Reason: "spoofed-sender", Count: 1, Last: noon}},
	}}
}

// begun returns a Model with two samples, two seconds apart.
func begun(t *testing.T, f fake) Model {
	t.Helper()
	m := New(t.Context(), f, time.Second)
	return after(m, tea.WindowSizeMsg{Width: 120, Height: 9}, sampleAt(0, 10, 0), sampleAt(2, 15, 2000))
}

// after returns the Model after messages. It runs the commands of none of them.
func after(m Model, messages ...tea.Msg) Model {
	for _, message := range messages {
		next, _ := m.Update(message)
		m = next.(Model)
	}
	return m
}

// keys returns the presses of keys, by name.
func keys(names ...string) (presses []tea.Msg) {
	special := map[string]rune{
		"enter": tea.KeyEnter, "esc": tea.KeyEscape, "up": tea.KeyUp, "down": tea.KeyDown, "end": tea.KeyEnd, "home": tea.KeyHome,
		"backspace": tea.KeyBackspace,
	}
	for _, name := range names {
		if code, ok := special[name]; ok {
			presses = append(presses, tea.KeyPressMsg{Code: code})
			continue
		}
		presses = append(presses, tea.KeyPressMsg{Code: []rune(name)[0], Text: name})
	}
	return presses
}

var (
	selection = regexp.MustCompile(`(?m)^(?:\x1b\[3\dm)?\x1b\[7m`)
	styles    = regexp.MustCompile(`\x1b\[\d*m`)
)

// content returns what the terminal shows, with > before the selected line, and without styles.
func content(m Model) string {
	return styles.ReplaceAllString(selection.ReplaceAllString(m.View().Content, ">"), "") + "\n"
}

func expect(t *testing.T, m Model, want string) {
	t.Helper()
	if diff := cmp.Diff(want, content(m)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTable(t *testing.T) {
	m := begun(t, fake{})
	expect(t, m, `arpfabric v1.0.0, networks: 1, bindings: 3, ports: 3, violations: 1


PORT*  KIND   ADDRESSES     NAMES  SEEN    FRAMES/S  REFUSED/S  VIOLATIONS  REASONS
>br0    host   -             -      -       0         0          0           -
vnet1  guest  10.239.0.101  -      7s ago  2.5       0          1           answered 15, spoofed-sender 1
vnet2  guest  10.239.0.102  db     -       0         1000       0           -

up, down select   enter explain   s sort   / filter   q quit
`)
	if text := m.View().Content; !strings.Contains(text, red+"vnet1") || !strings.Contains(text, yellow+"vnet2") {
		t.Errorf("the rows with a violation and with refused frames have no colours:\n%q", text)
	}
}

func TestSort(t *testing.T) {
	m := begun(t, fake{})
	for _, want := range []string{
		"br0 vnet1 vnet2", "vnet1 br0 vnet2", "vnet1 br0 vnet2", "vnet2 br0 vnet1", "vnet1 br0 vnet2", "br0 vnet1 vnet2",
	} {
		var got []string
		for _, r := range m.shown() {
			got = append(got, r.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("sorted by %s: %q, want %q", m.heading(m.order), got, want)
		}
		m = after(m, keys("s")...)
	}
}

func TestSelect(t *testing.T) {
	m := begun(t, fake{})
	for _, step := range []struct{ key, want string }{
		{"down", "vnet1"}, {"j", "vnet2"}, {"j", "vnet2"}, {"k", "vnet1"}, {"up", "br0"}, {"up", "br0"}, {"end", "vnet2"}, {"home", "br0"},
	} {
		if m = after(m, keys(step.key)...); m.selected.name != step.want {
			t.Errorf("%s selects %s, want %s", step.key, m.selected.name, step.want)
		}
	}
	// The selection stays on its port when the order changes, and the table scrolls to it.
	m = after(m, append(keys("end", "s"), tea.WindowSizeMsg{Width: 5, Height: 6})...)
	expect(t, m, "arpfa\n\n\nPORT \n>vnet2\nup, d\n")
}

func TestFilter(t *testing.T) {
	m := after(begun(t, fake{}), keys("/", "D", "b", "x", "backspace")...)
	expect(t, m, `arpfabric v1.0.0, networks: 1, bindings: 3, ports: 3, violations: 1


PORT*  KIND   ADDRESSES     NAMES  SEEN  FRAMES/S  REFUSED/S  VIOLATIONS  REASONS
>vnet2  guest  10.239.0.102  db     -     0         1000       0           -



filter: Db_   (enter keeps it, esc removes it)
`)
	for _, text := range []string{"vnet2", "guest", "02:00:07", "10.239.0.102"} {
		m := begun(t, fake{})
		m.filter = text
		if rows := m.shown(); len(rows) == 0 || rows[len(rows)-1].Name != "vnet2" {
			t.Errorf("the filter %q shows %d rows, and not vnet2", text, len(rows))
		}
	}
	if m = after(m, keys("enter", "q")...); m.isTyping || m.filter != "Db" {
		t.Errorf("after enter the filter is %q, and typed: %v", m.filter, m.isTyping)
	}
	if m = after(m, keys("esc")...); m.filter != "" {
		t.Errorf("after esc the filter is %q", m.filter)
	}
	if m = after(m, keys("/", "n", "o", "b", "o", "d", "y", "enter", "enter")...); m.detail != nil || !strings.Contains(content(m), "no ports") {
		t.Errorf("a filter that matches nothing:\n%s", content(m))
	}
}

// explainRow presses keys and then enter, and waits for the explanation.
func explainRow(t *testing.T, m Model, names ...string) Model {
	t.Helper()
	m = after(m, keys(names...)...)
	next, command := m.Update(keys("enter")[0])
	return after(next.(Model), command())
}

func TestExplain(t *testing.T) {
	big := tea.WindowSizeMsg{Width: 120, Height: 20}
	expect(t, explainRow(t, after(begun(t, fake{}), big), "down"), `vnet1, guest port of network lab

behind it: 02:00:06:de:54:a8 10.239.0.101 (arp, 7s ago)
verdicts:  answered 15, spoofed-sender 1
violation: spoofed-sender, frames: 1, last 2s ago (arpfabric violations --port vnet1)

The last dropped frame, 1m2s ago, decided again now:


from unknown to unknown, ingress lab/vnet1
network 

verdict: drop, ab

ROW  FITS  BECAUSE

decided by:
  the frame alone; no line of the configuration matters

up, down scroll   esc back
`)
	for _, test := range []struct {
		keys []string
		err  error
		want string
	}{
		{[]string{"end"}, nil, "The last answered frame, 2s ago, decided again now:"},
		{nil, nil, "No frame of this port is among the last 100 that the fabric keeps."},
		{[]string{"end"}, errors.New("no arpfabric is running"), "no arpfabric is running"},
	} {
		if m := explainRow(t, after(begun(t, fake{test.err}), big), test.keys...); !strings.Contains(content(m), test.want) {
			t.Errorf("want %s, got\n%s", test.want, content(m))
		}
	}
	m := explainRow(t, begun(t, fake{}), "down")
	if m = after(m, keys("down", "down", "up", "up", "up", "down", "down")...); !strings.HasPrefix(content(m), "behind it") {
		t.Errorf("scrolled down by two lines:\n%s", content(m))
	}
	if m = after(m, keys("esc")...); m.detail != nil {
		t.Error("esc does not go back")
	}
}

// TestAsk checks that the fabric is asked at the start and whenever a sample is due, and that an answer or a failure waits for
// the next.
func TestAsk(t *testing.T) {
	m := New(t.Context(), fake{}, time.Millisecond)
	if _, ok := m.Init()().(sampled); !ok {
		t.Errorf("at the start there is no sample: %T", m.Init()())
	}
	down := New(t.Context(), fake{errors.New("no arpfabric is running")}, time.Millisecond)
	_, ask := down.Update(due{})
	message := ask()
	next, wait := down.Update(message)
	if _, ok := wait().(due); !ok {
		t.Errorf("after a failure the next sample is not due, but %T", wait())
	}
	if text := content(next.(Model)); !strings.Contains(text, "\nno arpfabric is running\n") {
		t.Errorf("the failure is not shown:\n%s", text)
	}
	if m := after(next.(Model), sampleAt(0, 1, 1)); m.err != nil {
		t.Errorf("the failure stays: %v", m.err)
	}
}

func TestQuit(t *testing.T) {
	for _, press := range []tea.KeyPressMsg{{Code: 'q', Text: "q"}, {Code: 'c', Mod: tea.ModCtrl}} {
		_, command := begun(t, fake{}).Update(press)
		if _, ok := command().(tea.QuitMsg); !ok {
			t.Errorf("%s does not quit", press)
		}
	}
}

// TestProblems checks that the table says what needs repair.
func TestProblems(t *testing.T) {
	s := sampleAt(0, 1, 1)
	s.status.Problems = []string{"network lab has not started: there is no bridge br0"}
	if text := content(after(begun(t, fake{}), s)); !strings.Contains(text, "\nnetwork lab has not started: there is no bridge br0\n") {
		t.Errorf("got\n%s", text)
	}
	s.status.Problems = append(s.status.Problems, "another one")
	s.status.Networks = append(s.status.Networks, api.Network{Name: "late"})
	if text := content(after(begun(t, fake{}), s)); !strings.Contains(text, "br0 (and more: arpfabric status --check)\n") ||
		!strings.Contains(text, "\nNETWORK  PORT*") {
		t.Errorf("two networks:\n%s", text)
	}
}
