package arping

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/arpfabric/arpfabric/responder/registry"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"golang.org/x/sys/unix"
)

// Run sends a query's requests from an interface of the current network namespace. It writes a line for each reply as
// it arrives, and for each request without a reply. It needs CAP_NET_RAW. When ctx is done, it returns the report so
// far. An error means that it could not send or listen; missing replies and conflicts are in the report.
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
	// Make a blocked Read return at once.
	defer context.AfterFunc(ctx, func() { _ = client.SetReadDeadline(time.Unix(1, 0)) })()
	r := requester{client: client, lines: lines, report: Report{query: q, sender: from}}
	err = r.run(ctx)
	return r.report, err
}

// A requester sends requests and records the replies.
type requester struct {
	client *arp.Client
	lines  io.Writer
	report Report
}

func (r *requester) run(ctx context.Context) error {
	q := r.report.query
	for ctx.Err() == nil {
		sent := time.Now()
		if err := r.request(ctx, sent); err != nil {
			return err
		}
		if r.report.asked == q.Count {
			return nil
		}
		// Discard late replies here, or they would count for the next request.
		if err := r.listen(ctx, sent, q.Interval, func(reply) {}); err != nil {
			return err
		}
	}
	return nil
}

// request sends one request and listens for its replies.
func (r *requester) request(ctx context.Context, sent time.Time) error {
	if err := r.broadcast(); err != nil {
		return fmt.Errorf("sending a request on %s: %w", r.client.InterfaceName(), err)
	}
	var replies []reply
	err := r.listen(ctx, sent, r.report.query.Timeout, func(heard reply) {
		fmt.Fprintln(r.lines, heard)
		replies = append(replies, heard)
	})
	switch {
	case err != nil:
		return err
	case len(replies) > 0:
		r.report.add(replies)
	case ctx.Err() == nil: // after an interrupt, a reply may still have been on its way
		r.report.add(nil)
		fmt.Fprintln(r.lines, r.report.unanswered())
	}
	return nil
}

func (r *requester) broadcast() error {
	from, unknown := r.report.sender, make(net.HardwareAddr, len(registry.MAC{})) // zero, as Linux sends it
	request, err := arp.NewPacket(arp.OperationRequest, from.mac[:], from.ip, unknown, r.report.query.Address)
	if err != nil {
		return err
	}
	err = r.client.WriteTo(request, ethernet.Broadcast)
	if errors.Is(err, unix.ENOBUFS) { // the guard of a sidecar has dropped the request, and the kernel may have answered it
		return nil
	}
	return err
}

// listen calls hear with each reply until a duration after the request was sent, or until ctx is done.
func (r *requester) listen(ctx context.Context, sent time.Time, d time.Duration, hear func(reply)) error {
	if err := r.client.SetReadDeadline(sent.Add(d)); err != nil {
		return err
	}
	for ctx.Err() == nil { // if ctx ended just before SetReadDeadline, the deadline above has replaced its own
		packet, frame, err := r.client.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if _, failed := errors.AsType[*net.OpError](err); failed {
			return fmt.Errorf("listening on %s: %w", r.client.InterfaceName(), err)
		}
		if err == nil && r.report.answers(packet) { // any other error means a malformed frame
			hear(reply{
				ip: packet.SenderIP, mac: registry.MAC(packet.SenderHardwareAddr), source: registry.MAC(frame.Source),
				latency: time.Since(sent),
			})
		}
	}
	return nil
}
