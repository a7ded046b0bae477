package replay

import (
	"container/list"
	"net/netip"
	"time"

	"github.com/arpfabric/arpfabric/responder"
	"github.com/mdlayher/arp"
)

const (
	// window is how long after a request its answer may come, by the clock of the capture. Hosts ask again
	// after a second, which is the same question to a comparison.
	window = 5 * time.Second

	// maxPending is how many requests are kept at once for their answers.
	maxPending = 1 << 16
)

// A question is what makes requests one and the same, whose answer a reply is.
type question struct {
	asker         responder.MAC
	sender, asked netip.Addr // sender is 0.0.0.0 in a probe
	tag           uint16
}

// A pending question has been asked, and may be answered, or answered once more.
type pending struct {
	question
	at       time.Time
	reason   responder.Reason
	here     responder.MAC // in the fabric's answer; zero where it is silent
	answered bool          // in the capture...
	there    responder.MAC // ...lastly with this one
}

// repeat notes that the question has been asked again. The fabric is silent if it answers none of the requests.
func (p *pending) repeat(at time.Time, reason responder.Reason, here responder.MAC) {
	p.at = at
	if p.here == (responder.MAC{}) {
		p.reason, p.here = reason, here
	}
}

// An outcome is how an answer in the capture compares with the fabric's.
type outcome string

// The outcomes.
const (
	same       outcome = "same answer"
	other      outcome = "other answer"
	silentHere outcome = "answered there, silent here"
	repeated   outcome = "answered again"
)

// A comparison matches requests with the replies that answer them in the capture.
type comparison struct {
	pending map[question]*list.Element
	order   list.List // of *pending, the one asked last at the back
	answers Answers

	others tally[OtherAnswer]
	silent tally[SilentHere]
}

func newComparison() *comparison { return &comparison{pending: map[question]*list.Element{}} }

// ask notes what is a request other than an announcement, and what the fabric makes of it. A request that is
// repeated before there is an answer is the same question still.
func (c *comparison) ask(p *packet, at time.Time, reason responder.Reason, here responder.MAC) {
	if p.Operation != arp.OperationRequest || p.SenderIP == p.TargetIP {
		return
	}
	q := question{responder.MAC(p.SenderHardwareAddr), p.SenderIP, p.TargetIP, p.tag}
	if element := c.pending[q]; element != nil {
		if asked := element.Value.(*pending); !asked.answered {
			asked.repeat(at, reason, here)
			c.order.MoveToBack(element)
			return
		}
		c.forget(element)
	}
	if len(c.pending) == maxPending {
		c.crowdOut()
	}
	c.pending[q] = c.order.PushBack(&pending{question: q, at: at, reason: reason, here: here})
}

// answer compares what is a reply to a pending question with the fabric's answer. It returns false where it is
// none.
func (c *comparison) answer(p *packet) (outcome, bool) {
	if p.Operation != arp.OperationReply {
		return "", false
	}
	element := c.pending[question{responder.MAC(p.TargetHardwareAddr), p.TargetIP, p.SenderIP, p.tag}]
	if element == nil {
		return "", false
	}
	asked, there := element.Value.(*pending), responder.MAC(p.SenderHardwareAddr)
	if asked.answered && asked.there == there {
		return repeated, true
	}
	asked.answered, asked.there = true, there
	return c.compare(asked), true
}

func (c *comparison) compare(p *pending) outcome {
	switch p.here {
	case p.there:
		c.answers.Same++
		return same
	case responder.MAC{}:
		c.answers.SilentHere++
		c.silent.add(SilentHere{
			Address: p.asked, There: p.there.String(),
			Asker: p.asker.String(), Sender: p.sender, Reason: p.reason.String(),
		})
		return silentHere
	}
	c.answers.Other++
	c.others.add(OtherAnswer{Address: p.asked, Here: p.here.String(), There: p.there.String()})
	return other
}

// expire closes the questions that are older than the window.
func (c *comparison) expire(now time.Time) {
	for front := c.order.Front(); front != nil; front = c.order.Front() {
		if now.Sub(front.Value.(*pending).at) <= window {
			return
		}
		c.close(front)
	}
}

// finish closes all questions: the capture is at its end.
func (c *comparison) finish() {
	for front := c.order.Front(); front != nil; front = c.order.Front() {
		c.close(front)
	}
}

// close counts a question that was never answered, and forgets it.
func (c *comparison) close(element *list.Element) {
	p := element.Value.(*pending)
	switch {
	case p.answered:
	case p.here == responder.MAC{}:
		c.answers.SilentInBoth++
	default:
		c.answers.SilentThere++
	}
	c.forget(element)
}

// crowdOut makes room for another question.
func (c *comparison) crowdOut() {
	oldest := c.order.Front()
	if !oldest.Value.(*pending).answered {
		c.answers.NotWaitedFor++
	}
	c.forget(oldest)
}

func (c *comparison) forget(element *list.Element) {
	delete(c.pending, element.Value.(*pending).question)
	c.order.Remove(element)
}

// otherAnswers lists the answers that are not the fabric's.
func (c *comparison) otherAnswers() []OtherAnswer {
	rows := []OtherAnswer{}
	for row, times := range c.others.all() {
		row.Times = times
		rows = append(rows, row)
	}
	return rows
}

// silentHere lists the answers where the fabric is silent.
func (c *comparison) silentHere() []SilentHere {
	rows := []SilentHere{}
	for row, times := range c.silent.all() {
		row.Times = times
		rows = append(rows, row)
	}
	return rows
}
