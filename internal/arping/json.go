package arping

import (
	"encoding/json"
	"net/netip"
)

// Summary is the result of the requests for an address.
type Summary struct {
	Address   netip.Addr `json:"address"`   // the address that was asked for
	Interface string     `json:"interface"` // from which the requests were sent
	SenderMAC string     `json:"sender_mac"`
	SenderIP  netip.Addr `json:"sender_ip"`         // 0.0.0.0 in a probe
	Asked     int        `json:"asked"`             // requests
	Answered  int        `json:"answered"`          // requests that got a reply
	Conflict  bool       `json:"conflict"`          // two MACs answered
	Answerers []Answerer `json:"answerers"`         // in the order of their first replies
	Latency   *Latency   `json:"latency,omitempty"` // absent if no request was answered
}

// Answerer is a MAC that replied.
type Answerer struct {
	MAC     string   `json:"mac"`
	Replies int      `json:"replies"`
	Sources []string `json:"ethernet_sources"` // the distinct source MACs of the Ethernet headers
}

// Latency is that of the first reply to each answered request, in nanoseconds.
type Latency struct {
	Min int64 `json:"min_ns"`
	Avg int64 `json:"avg_ns"`
	Max int64 `json:"max_ns"`
}

// MarshalJSON encodes the report as a [Summary].
func (r Report) MarshalJSON() ([]byte, error) { return json.Marshal(r.summary()) }

func (r Report) summary() Summary {
	s := Summary{
		Address:   r.query.Address,
		Interface: r.sender.nic.Name,
		SenderMAC: r.sender.mac.String(),
		SenderIP:  r.sender.ip,
		Asked:     r.asked,
		Answered:  r.latencies.answered,
		Conflict:  r.Conflict(),
		Answerers: []Answerer{},
	}
	if l := r.latencies; l.answered > 0 {
		s.Latency = &Latency{l.min.Nanoseconds(), l.avg().Nanoseconds(), l.max.Nanoseconds()}
	}
	for _, a := range r.answerers {
		s.Answerers = append(s.Answerers, a.json())
	}
	return s
}

func (a answerer) json() Answerer {
	out := Answerer{MAC: a.mac.String(), Replies: a.replies}
	for _, s := range a.sources {
		out.Sources = append(out.Sources, s.String())
	}
	return out
}
