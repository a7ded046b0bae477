package replay

import (
	"net/netip"

	"github.com/arpfabric/arpfabric/responder"
)

// Summary is the result of a replay. docs/replay.md describes its fields, by their names in JSON.
type Summary struct {
	Network  string    `json:"network"`
	Frames   Frames    `json:"frames"`
	Verdicts []Verdict `json:"verdicts"` // in the order of the decision table
	Answers  Answers   `json:"answers"`

	OtherAnswers     []OtherAnswer    `json:"other_answers"` // at most 20 different ones
	MoreOtherAnswers int              `json:"more_other_answers"`
	CapturedOnly     []CapturedAnswer `json:"captured_only"` // at most 20 different ones
	MoreCapturedOnly int              `json:"more_captured_only"`

	Warnings []string `json:"warnings"` // why frames may be missing
}

// Frames counts the frames of a capture.
type Frames struct {
	Read        int `json:"read"`
	ARP         int `json:"arp"`     // evaluated, or compared as answers
	Answers     int `json:"answers"` // ARP frames among them that are replies to a request in the capture
	Cut         int `json:"cut"`     // truncated in the capture, so that the ARP packet is incomplete
	NotARP      int `json:"not_arp"`
	NotEthernet int `json:"not_ethernet"` // of other link types
	OtherVLAN   int `json:"other_vlan"`   // tagged for another VLAN than the network's, if it has one; of any protocol
}

// Verdict counts the frames of one verdict.
type Verdict struct {
	Action string `json:"action"`
	Reason string `json:"reason"`
	Frames int    `json:"frames"`
}

// Answers compares the answers in the capture with the fabric's. A request that is repeated before its answer counts
// once, and so does an answer that is repeated with the same MAC.
type Answers struct {
	Same         int `json:"same"`
	Other        int `json:"other"`
	CapturedOnly int `json:"captured_only"` // the fabric gives no answer
	OursOnly     int `json:"ours_only"`     // the capture has no answer
	Neither      int `json:"neither"`
	NotCompared  int `json:"not_compared"` // requests beyond the number that are kept
}

// OtherAnswer is a captured answer that differs from the fabric's.
type OtherAnswer struct {
	Address  netip.Addr `json:"address"`
	Ours     string     `json:"ours"`     // the MAC in the fabric's answer
	Captured string     `json:"captured"` // the MAC in the captured answer
	Times    int        `json:"times"`
}

// CapturedAnswer is a captured answer to a request that the fabric does not answer.
type CapturedAnswer struct {
	Address   netip.Addr `json:"address"`
	Captured  string     `json:"captured"`  // the MAC in the captured answer
	Requester string     `json:"requester"` // the requester's MAC
	Sender    netip.Addr `json:"sender"`
	Reason    string     `json:"reason"` // why the fabric gives no answer
	Times     int        `json:"times"`
}

// Same reports whether the fabric gives every answer in the capture.
func (s *Summary) Same() bool { return s.Answers.Other == 0 && s.Answers.CapturedOnly == 0 }

// counts has the number of frames of each verdict.
type counts map[responder.Verdict]int

func (c counts) add(v responder.Verdict) {
	v.Len = 0
	c[v]++
}

// verdicts lists them in the order of the decision table.
func (c counts) verdicts() []Verdict {
	list := []Verdict{}
	for reason := range responder.Reasons() {
		for _, action := range []responder.Action{responder.Reply, responder.Drop, responder.Pass} {
			v := responder.Verdict{Action: action, Reason: reason}
			if n := c[v]; n > 0 {
				list = append(list, Verdict{action.String(), v.Reason.String(), n})
			}
		}
	}
	return list
}
