// Package load asks for addresses as fast as they are answered, and measures it. It sends and reads in
// batches, so that it is not what is measured.
//
// Who asks is a process of its own, as a guest is. In the process of who answers, Go's scheduler would run
// the two in turn on one thread, and nobody would ever have to be woken up.
package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"time"
)

// Order says what to ask for.
type Order struct {
	Interface string       // out of which to ask; its MAC is the sender's
	Sender    netip.Addr   // the sender's address
	Targets   []netip.Addr // to ask for, in turn; at least Burst
	Requests  int          // how many in all, at least 1
	Burst     int          // how many to send at once, 1 to wire.MaxBatch; the next when all are answered

	Pause time.Duration // before each burst
	Flood int           // how many to send in a second, answered or not, until the process is killed; 0 for no flood
}

// Result is how an order went.
type Result struct {
	Took time.Duration // in all
	P99  time.Duration // 99 of 100 answers arrived so soon after their burst was sent
	Lost int           // requests that had no answer in time, 100 ms, and were sent again
}

// orderVariable is set in the environment of a process that is to obey an order.
const orderVariable = "ARPFABRIC_LOAD"

// Ask gives an order to a process of its own: this program once more, which has to call ObeyOrder first
// thing. start starts it in the network namespace to ask from. It is an error if requests stay unanswered.
func Ask(o Order, start func(*exec.Cmd) error) (Result, error) {
	cmd, err := command(o)
	if err != nil {
		return Result{}, err
	}
	var result, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &result, &problem
	if err := start(cmd); err != nil {
		return Result{}, err
	}
	if err := cmd.Wait(); err != nil {
		return Result{}, fmt.Errorf("asking: %w: %s", err, problem.Bytes())
	}
	var r Result
	err = json.Unmarshal(result.Bytes(), &r)
	return r, err
}

// Flood is Ask for an order that says Flood. It ends with the function that it returns.
func Flood(o Order, start func(*exec.Cmd) error) (stop func() error, err error) {
	cmd, err := command(o)
	if err != nil {
		return nil, err
	}
	if err := start(cmd); err != nil {
		return nil, err
	}
	return func() error {
		if err := cmd.Process.Kill(); err != nil {
			return fmt.Errorf("the flood has ended by itself: %w", err)
		}
		cmd.Wait() // it was killed
		return nil
	}, nil
}

func command(o Order) (*exec.Cmd, error) {
	order, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), orderVariable+"=1")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(order), os.Stderr
	return cmd, nil
}

// ObeyOrder obeys the order that this process was started for, and exits. Without one it returns.
func ObeyOrder() {
	if os.Getenv(orderVariable) == "" {
		return
	}
	if err := obeyOrder(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func obeyOrder() error {
	var o Order
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return err
	}
	a, err := newAsker(o)
	if err != nil {
		return err
	}
	if o.Flood > 0 {
		return a.flood(o.Flood)
	}
	r, err := a.ask(o)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}
