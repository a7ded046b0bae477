package arping

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/arp"
)

// A Report has the results of a query's requests.
type Report struct {
	query     Query
	sender    sender
	asked     int
	latencies latencies
	answerers []answerer // in the order of their first replies
}

// A reply is one received reply.
type reply struct {
	ip      netip.Addr    // the sender's address, which was asked for
	mac     registry.MAC  // the sender's MAC
	source  registry.MAC  // of the Ethernet header
	latency time.Duration // since the request was sent
}

// An answerer is a MAC that replied for the address.
type answerer struct {
	mac     registry.MAC
	replies int
	sources []registry.MAC // the distinct source MACs of the Ethernet headers
}

// add records one request and all its replies within the timeout.
func (r *Report) add(replies []reply) {
	r.asked++
	if len(replies) > 0 {
		r.latencies.add(replies[0].latency)
	}
	for _, reply := range replies {
		r.answererOf(reply.mac).add(reply)
	}
}

// answers reports whether p is a reply to the query. Replies to other hosts and gratuitous ARP have other target MACs.
func (r *Report) answers(p *arp.Packet) bool {
	return p.Operation == arp.OperationReply && p.SenderIP == r.query.Address &&
		len(p.SenderHardwareAddr) == len(registry.MAC{}) && bytes.Equal(p.TargetHardwareAddr, r.sender.mac[:])
}

func (r *Report) answererOf(mac registry.MAC) *answerer {
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

// latencies summarizes the latency of the first reply to each answered request.
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

// String returns a summary in one line, and a line for each problem.
func (r Report) String() string {
	if r.asked == 0 {
		return "interrupted before the first reply"
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

// unanswered returns the line for a request without a reply, as tcpdump would print the request.
func (r Report) unanswered() string {
	return fmt.Sprintf("Request who-has %s tell %s: no reply in %s", r.query.Address, r.sender.ip, r.query.Timeout)
}

// String returns a reply as tcpdump prints it, with its latency.
func (r reply) String() string {
	text := fmt.Sprintf("Reply %s is-at %s, %s", r.ip, r.mac, inUnits(r.latency))
	if r.source != r.mac {
		text += fmt.Sprintf(", but its Ethernet source is %s", r.source)
	}
	return text
}

// inUnits formats a latency in a suitable unit. It truncates instead of rounding.
func inUnits(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%.1f ms", d.Truncate(100*time.Microsecond).Seconds()*1000)
	}
	return fmt.Sprintf("%.2f s", d.Truncate(10*time.Millisecond).Seconds())
}
