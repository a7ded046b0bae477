package ask

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/responder"
	"github.com/mdlayher/arp"
)

// Report is what became of all requests of a query.
type Report struct {
	query     Query
	sender    sender
	asked     int
	latencies latencies
	answerers []answerer // in the order they were first heard
}

// reply is one that was heard.
type reply struct {
	ip      netip.Addr    // that it answers for
	mac     responder.MAC // that the address is said to be at
	source  responder.MAC // of the Ethernet header
	latency time.Duration // since the request was sent
}

// answerer is a MAC that the address was said to be at.
type answerer struct {
	mac     responder.MAC
	replies int
	sources []responder.MAC // the different ones of the Ethernet headers
}

// add notes one request that was listened for as long as the query says, and the replies to it.
func (r *Report) add(replies []reply) {
	r.asked++
	if len(replies) > 0 {
		r.latencies.add(replies[0].latency)
	}
	for _, reply := range replies {
		r.answererOf(reply.mac).add(reply)
	}
}

// answers reports whether p is a reply to a request. Replies to others, and announcements, name another target MAC.
func (r *Report) answers(p *arp.Packet) bool {
	return p.Operation == arp.OperationReply && p.SenderIP == r.query.Address &&
		len(p.SenderHardwareAddr) == len(responder.MAC{}) && bytes.Equal(p.TargetHardwareAddr, r.sender.mac[:])
}

func (r *Report) answererOf(mac responder.MAC) *answerer {
	i := slices.IndexFunc(r.answerers, func(a answerer) bool { return a.mac == mac })
	if i < 0 {
		i = len(r.answerers)
		r.answerers = append(r.answerers, answerer{mac: mac})
	}
	return &r.answerers[i]
}

func (a *answerer) add(reply reply) {
	a.replies++
	if !slices.Contains(a.sources, reply.source) {
		a.sources = append(a.sources, reply.source)
	}
}

// latencies sums up how long the first reply to each answered request took.
type latencies struct {
	answered      int
	min, sum, max time.Duration
}

func (l *latencies) add(d time.Duration) {
	if l.answered == 0 || d < l.min {
		l.min = d
	}
	l.max = max(l.max, d)
	l.sum += d
	l.answered++
}

func (l latencies) avg() time.Duration { return l.sum / time.Duration(max(l.answered, 1)) }

// Conflict reports whether more than one MAC answered.
func (r Report) Conflict() bool { return len(r.answerers) > 1 }

// OK reports whether every request was answered, and all of them by one MAC.
func (r Report) OK() bool { return r.asked > 0 && r.latencies.answered == r.asked && !r.Conflict() }

// String sums the report up in a line, and names in a line each what is wrong.
func (r Report) String() string {
	if r.asked == 0 {
		return "interrupted before there was a reply"
	}
	l := r.latencies
	text := fmt.Sprintf("asked %d, answered %d", r.asked, l.answered)
	if l.answered > 0 {
		text += fmt.Sprintf("; latency min %s, avg %s, max %s", inUnits(l.min), inUnits(l.avg()), inUnits(l.max))
	}
	if missing := r.asked - l.answered; missing > 0 {
		text += fmt.Sprintf("\nunanswered: %d of %d requests for %s", missing, r.asked, r.query.Address)
	}
	if r.Conflict() {
		text += fmt.Sprintf("\nconflict: %d MACs answer for %s: %s", len(r.answerers), r.query.Address, r.listAnswerers())
	}
	return text
}

func (r Report) listAnswerers() string {
	var words []string
	for _, a := range r.answerers {
		words = append(words, fmt.Sprintf("%s (%d)", a.mac, a.replies))
	}
	return strings.Join(words, ", ")
}

// unanswered puts a request without a reply in tcpdump's words.
func (r Report) unanswered() string {
	return fmt.Sprintf("Request who-has %s tell %s: no reply in %s", r.query.Address, r.sender.ip, r.query.Timeout)
}

// String puts a reply in tcpdump's words, with its latency.
func (r reply) String() string {
	text := fmt.Sprintf("Reply %s is-at %s, %s", r.ip, r.mac, inUnits(r.latency))
	if r.source != r.mac {
		text += fmt.Sprintf(", but its Ethernet source is %s", r.source)
	}
	return text
}

// inUnits writes a latency in the unit that suits it, cut off, not rounded.
func inUnits(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%.1f ms", d.Truncate(100*time.Microsecond).Seconds()*1000)
	}
	return fmt.Sprintf("%.2f s", d.Truncate(10*time.Millisecond).Seconds())
}

// MarshalJSON writes the report as one object. Its keys are an interface for programs: they stay as they are.
// Latencies are in nanoseconds; there is no "latency" where nothing was answered.
func (r Report) MarshalJSON() ([]byte, error) {
	out := reportJSON{
		Address:   r.query.Address,
		Interface: r.sender.nic.Name,
		SenderMAC: r.sender.mac.String(),
		SenderIP:  r.sender.ip,
		Asked:     r.asked,
		Answered:  r.latencies.answered,
		Conflict:  r.Conflict(),
		Answerers: []answererJSON{},
	}
	if l := r.latencies; l.answered > 0 {
		out.Latency = &latencyJSON{l.min.Nanoseconds(), l.avg().Nanoseconds(), l.max.Nanoseconds()}
	}
	for _, a := range r.answerers {
		out.Answerers = append(out.Answerers, a.json())
	}
	return json.Marshal(out)
}

type reportJSON struct {
	Address   netip.Addr     `json:"address"`
	Interface string         `json:"interface"`
	SenderMAC string         `json:"sender_mac"`
	SenderIP  netip.Addr     `json:"sender_ip"`
	Asked     int            `json:"asked"`
	Answered  int            `json:"answered"`
	Conflict  bool           `json:"conflict"`
	Answerers []answererJSON `json:"answerers"`
	Latency   *latencyJSON   `json:"latency,omitempty"`
}

type answererJSON struct {
	MAC     string   `json:"mac"`
	Replies int      `json:"replies"`
	Sources []string `json:"ethernet_sources"`
}

type latencyJSON struct {
	Min int64 `json:"min_ns"`
	Avg int64 `json:"avg_ns"`
	Max int64 `json:"max_ns"`
}

func (a answerer) json() answererJSON {
	out := answererJSON{MAC: a.mac.String(), Replies: a.replies}
	for _, s := range a.sources {
		out.Sources = append(out.Sources, s.String())
	}
	return out
}
