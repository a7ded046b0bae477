package ask

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/arpfabric/arpfabric/responder"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
)

// Run asks as q says, from an interface of the network namespace that it runs in, and writes a line for each reply
// as it comes, and for each request without one. It needs CAP_NET_RAW. When ctx is done it returns what it has heard
// until then. An error means that it could not ask, or not listen; silence and conflicts are in the report.
func Run(ctx context.Context, q Query, lines io.Writer) (Report, error) {
	from, err := findSender(q)
	if err != nil {
		return Report{}, err
	}
	client, err := arp.Dial(&from.nic.Interface)
	if err != nil {
		return Report{}, fmt.Errorf("opening a packet socket on %s (needs CAP_NET_RAW): %w", from.nic.Name, err)
	}
	defer client.Close()
	// A Read that waits ends at once.
	defer context.AfterFunc(ctx, func() { client.SetReadDeadline(time.Unix(1, 0)) })()
	a := asker{client: client, lines: lines, report: Report{query: q, sender: from}}
	err = a.run(ctx)
	return a.report, err
}

// asker asks by one socket, and notes what it hears.
type asker struct {
	client *arp.Client
	lines  io.Writer
	report Report
}

func (a *asker) run(ctx context.Context) error {
	q := a.report.query
	for ctx.Err() == nil {
		sent := time.Now()
		if err := a.ask(ctx, sent); err != nil {
			return err
		}
		if a.report.asked == q.Count {
			return nil
		}
		late := func(reply) {} // and not to be taken for a reply to the next request
		if err := a.listen(ctx, sent, q.Interval, late); err != nil {
			return err
		}
	}
	return nil
}

// ask sends one request and listens for the replies to it.
func (a *asker) ask(ctx context.Context, sent time.Time) error {
	if err := a.broadcast(); err != nil {
		return fmt.Errorf("asking on %s: %w", a.client.InterfaceName(), err)
	}
	var replies []reply
	err := a.listen(ctx, sent, a.report.query.Timeout, func(r reply) {
		fmt.Fprintln(a.lines, r)
		replies = append(replies, r)
	})
	switch {
	case err != nil:
		return err
	case len(replies) > 0:
		a.report.add(replies)
	case ctx.Err() == nil: // otherwise nobody knows whether one would have come
		a.report.add(nil)
		fmt.Fprintln(a.lines, a.report.unanswered())
	}
	return nil
}

func (a *asker) broadcast() error {
	from, anybody := a.report.sender, make(net.HardwareAddr, len(responder.MAC{})) // zero, as Linux sends it
	request, err := arp.NewPacket(arp.OperationRequest, from.mac[:], from.ip, anybody, a.report.query.Address)
	if err != nil {
		return err
	}
	return a.client.WriteTo(request, ethernet.Broadcast)
}

// listen calls hear with each reply that comes until a while after the request was sent, or ctx is done.
func (a *asker) listen(ctx context.Context, sent time.Time, while time.Duration, hear func(reply)) error {
	if err := a.client.SetReadDeadline(sent.Add(while)); err != nil {
		return err
	}
	for ctx.Err() == nil { // the deadline may have been set over that of a ctx which is done
		packet, frame, err := a.client.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if _, failed := errors.AsType[*net.OpError](err); failed {
			return fmt.Errorf("listening on %s: %w", a.client.InterfaceName(), err)
		}
		if err == nil && a.report.answers(packet) { // any other error is that of a malformed frame
			hear(reply{
				ip: packet.SenderIP, mac: responder.MAC(packet.SenderHardwareAddr), source: responder.MAC(frame.Source),
				latency: time.Since(sent),
			})
		}
	}
	return nil
}
