package replay

import (
	"container/list"
	"net/netip"
	"time"

	"github.com/arpfabric/arpfabric/responder"
	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/arp"
)

const (
	// window is the longest time between a request and its answer, by the clock of the capture. Hosts repeat a request
	// after a second; a comparison counts the repetitions as one question.
	window = 5 * time.Second

	// maxPending is the number of requests that are kept while they wait for answers.
	maxPending = 1 << 16
)

// A question identifies a request, its repetitions, and the replies that answer it.
type question struct {
	requester      registry.MAC
	sender, target netip.Addr // sender is 0.0.0.0 in a probe
	tag            uint16
}

// A pending question may still get an answer, or another one.
type pending struct {
	question
	at       time.Time
	reason   responder.Reason
	ours     registry.MAC // the MAC in the fabric's answer; zero if it gives none
	answered bool         // in the capture
	captured registry.MAC // the MAC in the last captured answer
}

// repeat records a repetition of the request. The fabric gives no answer only if it answers none of the repetitions.
func (p *pending) repeat(at time.Time, reason responder.Reason, ours registry.MAC) {
	p.at = at
	if p.ours == (registry.MAC{}) {
		p.reason, p.ours = reason, ours
	}
}

// An outcome is how an answer in the capture compares with the fabric's.
type outcome string

// The outcomes.
const (
	same         outcome = "same answer"
	other        outcome = "other answer"
	capturedOnly outcome = "answered in the capture only"
	repeated     outcome = "answered again"
)

// A comparison matches requests with the replies that answer them in the capture.
type comparison struct {
	pending map[question]*list.Element
	order   list.List // of *pending, the latest request at the back
	answers Answers

	others       tally[OtherAnswer]
	capturedOnly tally[CapturedAnswer]
}

func newComparison() *comparison { return &comparison{pending: map[question]*list.Element{}} }

// ask records a request, with the fabric's reason and answer. It ignores replies and announcements. A request that is
// repeated before its answer is the same question.
func (c *comparison) ask(p *packet, at time.Time, reason responder.Reason, ours registry.MAC) {
	if p.Operation != arp.OperationRequest || p.SenderIP == p.TargetIP {
		return
	}
	q := question{registry.MAC(p.SenderHardwareAddr), p.SenderIP, p.TargetIP, p.tag}
	if element := c.pending[q]; element != nil {
		if asked := element.Value.(*pending); !asked.answered {
			asked.repeat(at, reason, ours)
			c.order.MoveToBack(element)
			return
		}
		c.forget(element)
	}
	if len(c.pending) == maxPending {
		c.evictOldest()
	}
	c.pending[q] = c.order.PushBack(&pending{question: q, at: at, reason: reason, ours: ours})
}

// answer compares a reply to a pending question with the fabric's answer. It returns false for any other packet.
func (c *comparison) answer(p *packet) (outcome, bool) {
	if p.Operation != arp.OperationReply {
		return "", false
	}
	element := c.pending[question{registry.MAC(p.TargetHardwareAddr), p.TargetIP, p.SenderIP, p.tag}]
	if element == nil {
		return "", false
	}
	asked, captured := element.Value.(*pending), registry.MAC(p.SenderHardwareAddr)
	if asked.answered && asked.captured == captured {
		return repeated, true
	}
	asked.answered, asked.captured = true, captured
	return c.compare(asked), true
}

func (c *comparison) compare(p *pending) outcome {
	switch p.ours {
	case p.captured:
		c.answers.Same++
		return same
	case registry.MAC{}:
		c.answers.CapturedOnly++
		c.capturedOnly.add(CapturedAnswer{
			Address: p.target, Captured: p.captured.String(),
			Requester: p.requester.String(), Sender: p.sender, Reason: p.reason.String(),
		})
		return capturedOnly
	}
	c.answers.Other++
	c.others.add(OtherAnswer{Address: p.target, Ours: p.ours.String(), Captured: p.captured.String()})
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

// finish closes all questions at the end of the capture.
func (c *comparison) finish() {
	for front := c.order.Front(); front != nil; front = c.order.Front() {
		c.close(front)
	}
}

// close removes a question. If the capture has no answer to it, close counts that.
func (c *comparison) close(element *list.Element) {
	p := element.Value.(*pending)
	switch {
	case p.answered:
	case p.ours == registry.MAC{}:
		c.answers.Neither++
	default:
		c.answers.OursOnly++
	}
	c.forget(element)
}

// evictOldest removes the oldest question to make room for another.
func (c *comparison) evictOldest() {
	oldest := c.order.Front()
	if !oldest.Value.(*pending).answered {
		c.answers.NotCompared++
	}
	c.forget(oldest)
}

func (c *comparison) forget(element *list.Element) {
	delete(c.pending, element.Value.(*pending).question)
	c.order.Remove(element)
}

// otherAnswers lists the captured answers that differ from the fabric's.
func (c *comparison) otherAnswers() []OtherAnswer {
	rows := []OtherAnswer{}
	for row, times := range c.others.all() {
		row.Times = times
		rows = append(rows, row)
	}
	return rows
}

// capturedAnswers lists the captured answers where the fabric gives none.
func (c *comparison) capturedAnswers() []CapturedAnswer {
	rows := []CapturedAnswer{}
	for row, times := range c.capturedOnly.all() {
		row.Times = times
		rows = append(rows, row)
	}
	return rows
}
