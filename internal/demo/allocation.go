package demo

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/api"
	"github.com/arpfabric/arpfabric/internal/lab"
)

// web joins the bridge while the fabric runs. It has no address and no binding.
var (
	web   = lab.GuestConfig{Name: "web", Port: "vnet-web", Bridge: bridge, MAC: []byte{0x02, 0x00, 0x02, 0xde, 0x54, 0xa8}}
	webIP = netip.MustParseAddr("10.239.0.2") // the next free address
)

// An act is a request of a guest in the part about allocation, after a command of the operator.
type act struct {
	command string // "" for none
	run     func(context.Context, *api.Client) error
	from    lab.GuestConfig
	request lab.ARP
	sent    string // the request as tcpdump prints it
	answer  string // "" for none
}

const askForWeb = "ARP, Request who-has 10.239.0.2 tell 10.239.0.101, length 28"

var acts = []act{
	{from: app, request: lab.Request(app.MAC, appIP, webIP), sent: askForWeb},
	{
		command: "arpfabric allocate --name web --mac 02:00:02:de:54:a8 --port vnet-web", run: allocateWeb,
		from: web, request: lab.Request(web.MAC, webIP, dbIP),
		sent:   "ARP, Request who-has 10.239.0.102 tell 10.239.0.2, length 28",
		answer: "ARP, Reply 10.239.0.102 is-at 02:00:07:de:54:a8, length 46",
	},
	{
		from: app, request: lab.Request(app.MAC, appIP, webIP), sent: askForWeb,
		answer: "ARP, Reply 10.239.0.2 is-at 02:00:02:de:54:a8, length 46",
	},
	{command: "arpfabric free web", run: freeWeb, from: app, request: lab.Request(app.MAC, appIP, webIP), sent: askForWeb},
}

func allocateWeb(ctx context.Context, c *api.Client) error {
	b, err := c.Allocate(ctx, network, api.NewAllocation{
		AllocationSettings: api.AllocationSettings{Name: web.Name, MAC: web.MAC.String(), Port: web.Port},
	})
	if err == nil && b.First != webIP {
		err = fmt.Errorf("%s was allocated, not %s", b.First, webIP)
	}
	return err
}

func freeWeb(ctx context.Context, c *api.Client) error {
	_, err := c.FreeBinding(ctx, network, webIP, 0)
	return err
}

// A happening is a command, or a frame that a guest sent or received.
type happening struct {
	guest string // "" for a command
	line         // its text is the command
}

func (h happening) String() string {
	if h.guest == "" {
		return "$ " + h.text
	}
	return h.guest + " " + h.line.String()
}

// runAllocation runs the acts with the whole daemon, and prints what happens.
func (t testbed) runAllocation(ctx context.Context, out io.Writer, datapath config.Datapath) error {
	printTitle(out, "Allocation. web joins the bridge, and gets an address while the fabric runs")
	g, err := lab.AddGuest(web)
	if err != nil {
		return err
	}
	defer g.Delete()
	all, err := slices.Concat(t, testbed{g}).capture()
	if err != nil {
		return err
	}
	defer all.close()
	var got []happening
	err = withDaemon(ctx, datapath, slog.New(slog.DiscardHandler), func(ctx context.Context) (err error) {
		got, err = all.runActs(ctx)
		return err
	})
	if ctx.Err() != nil {
		return errInterrupted
	}
	if err != nil {
		return err
	}
	printHappenings(out, got)
	return checkHappenings(got)
}

// runActs runs the acts, and returns what has happened, in order.
func (c captures) runActs(ctx context.Context) (all []happening, err error) {
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client, start := api.NewClient(config.DefaultSocket), time.Now()
	for _, a := range acts {
		if a.command != "" {
			all = append(all, happening{line: line{at: time.Since(start), text: a.command}})
			if err := a.run(waiting, client); err != nil {
				return nil, err
			}
		}
		if err := c.act(waiting, client, a); err != nil {
			return nil, err
		}
	}
	if err := c.sendMarkers(waiting); err != nil {
		return nil, err
	}
	for guest, capture := range c {
		for _, l := range linesOf(capture.Frames(), start) {
			all = append(all, happening{guest, l})
		}
	}
	slices.SortStableFunc(all, func(a, b happening) int { return cmp.Compare(a.at, b.at) })
	return all, ctx.Err()
}

// act sends the request of an act, and waits for the verdict and for the answer. A timeout is no error here: checkHappenings
// reports what is missing.
func (c captures) act(ctx context.Context, client *api.Client, a act) error {
	guest := c[a.from.Name]
	before, err := verdictsOn(ctx, client, a.from.Port)
	if err != nil {
		return err
	}
	arrived := countArrived(guest.Frames())
	if err := guest.Send(a.request.Frame()); err != nil {
		return err
	}
	for n := before; n == before && ctx.Err() == nil; sleep(ctx, time.Millisecond) {
		if n, err = verdictsOn(ctx, client, a.from.Port); err != nil {
			return err
		}
	}
	if a.answer != "" {
		arrived++
	}
	_ = guest.Wait(ctx, func(seen []lab.Seen) bool { return countArrived(seen) >= arrived })
	return nil
}

// verdictsOn returns the number of verdicts on the frames of a port.
func verdictsOn(ctx context.Context, client *api.Client, port string) (sum uint64, err error) {
	ports, err := client.Ports(ctx)
	for _, p := range ports {
		if p.Name == port {
			for _, n := range p.Reasons {
				sum += n
			}
		}
	}
	return sum, err
}
