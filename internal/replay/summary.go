package replay

import (
	"net/netip"

	"github.com/arpfabric/arpfabric/responder"
)

// Summary is what a replay found. Its fields, and their names in JSON, are those of docs/replay.md.
type Summary struct {
	Network  string    `json:"network"`
	Frames   Frames    `json:"frames"`
	Verdicts []Verdict `json:"verdicts"` // in the order of the decision table
	Answers  Answers   `json:"answers"`

	OtherAnswers     []OtherAnswer `json:"other_answers"` // at most 20 different ones
	MoreOtherAnswers int           `json:"more_other_answers"`
	SilentHere       []SilentHere  `json:"silent_here"` // at most 20 different ones
	MoreSilentHere   int           `json:"more_silent_here"`

	Warnings []string `json:"warnings"` // why there may be more than was judged
}

// Frames counts the frames of a capture.
type Frames struct {
	Read        int `json:"read"`
	ARP         int `json:"arp"`     // judged, or taken for answers
	Answers     int `json:"answers"` // of those, replies to a request in the capture
	Cut         int `json:"cut"`     // by the capture, to less than a whole ARP packet
	NotARP      int `json:"not_arp"`
	NotEthernet int `json:"not_ethernet"` // of other link types
}

// Verdict counts the frames of one verdict.
type Verdict struct {
	Action string `json:"action"`
	Reason string `json:"reason"`
	Frames int    `json:"frames"`
}

// Answers compares the answers in the capture with the fabric's. A request that is repeated before it is
// answered counts once; so does an answer that comes again, from the same MAC as the last.
type Answers struct {
	Same         int `json:"same"`
	Other        int `json:"other"`
	SilentHere   int `json:"silent_here"`
	SilentThere  int `json:"silent_there"`
	SilentInBoth int `json:"silent_in_both"`
	NotWaitedFor int `json:"not_waited_for"` // there were more requests at once than are kept
}

// OtherAnswer is an answer of the capture that is not the fabric's.
type OtherAnswer struct {
	Address netip.Addr `json:"address"`
	Here    string     `json:"here"`  // the MAC that the fabric answers with
	There   string     `json:"there"` // the MAC in the capture
	Times   int        `json:"times"`
}

// SilentHere is an answer of the capture where the fabric gives none.
type SilentHere struct {
	Address netip.Addr `json:"address"`
	There   string     `json:"there"` // the MAC in the capture
	Asker   string     `json:"asker"` // MAC
	Sender  netip.Addr `json:"sender"`
	Reason  string     `json:"reason"` // why the fabric is silent
	Times   int        `json:"times"`
}

// Same reports whether every answer in the capture is the fabric's too.
func (s *Summary) Same() bool { return s.Answers.Other == 0 && s.Answers.SilentHere == 0 }

// counts has a number of frames for each verdict.
type counts map[responder.Verdict]int

func (c counts) add(v responder.Verdict) {
	v.Len = 0
	c[v]++
}

// verdicts lists them in the order of the decision table.
func (c counts) verdicts() []Verdict {
	list := []Verdict{}
	for reason := range responder.NumReasons {
		for _, action := range []responder.Action{responder.Reply, responder.Drop, responder.Pass} {
			v := responder.Verdict{Action: action, Reason: responder.Reason(reason)}
			if n := c[v]; n > 0 {
				list = append(list, Verdict{action.String(), v.Reason.String(), n})
			}
		}
	}
	return list
}
