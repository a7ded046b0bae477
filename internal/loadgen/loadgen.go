// Package loadgen sends ARP requests as fast as they are answered, and measures the time until the answers arrive. It
// sends and reads in batches, so that its own cost does not dominate the result.
//
// The requester is a process of its own, as a guest is. In the responder's process, Go's scheduler would run both in
// turn on one thread, and the measurement would miss the cost of waking up.
package loadgen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"time"
)

// A Job says which requests to send.
type Job struct {
	Interface string       // to send from; its MAC is the sender's
	Sender    netip.Addr   // the sender's address
	Targets   []netip.Addr // to request, in turn; at least Burst of them
	Requests  int          // total number, at least 1
	Burst     int          // number sent at once, 1 to [mmsg.MaxBatch]; the next burst follows when all are answered

	Pause time.Duration // before each burst
	Flood int           // requests per second, answered or not, until the process is killed; 0 for no flood
}

// A Result has the measurements of a job.
type Result struct {
	Took time.Duration // in total
	P99  time.Duration // 99 percent of the answers arrived within this time after the start of their burst
	Lost int           // requests sent again because no answer arrived within 100 ms
}

// jobVariable is set in the environment of a process that has to run a job.
const jobVariable = "ARPFABRIC_LOAD"

// Run runs a job in a process of its own. The process runs this program again, which must call [RunChild] first. start
// starts it in the network namespace to send from. Run returns an error if requests remain unanswered.
func Run(j Job, start func(*exec.Cmd) error) (Result, error) {
	cmd, err := command(j)
	if err != nil {
		return Result{}, err
	}
	var result, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &result, &problem
	if err := start(cmd); err != nil {
		return Result{}, err
	}
	if err := cmd.Wait(); err != nil {
		return Result{}, fmt.Errorf("sending requests: %w: %s", err, problem.Bytes())
	}
	var r Result
	err = json.Unmarshal(result.Bytes(), &r)
	return r, err
}

// Flood starts a job that has Flood set. The returned function ends it.
func Flood(j Job, start func(*exec.Cmd) error) (stop func() error, err error) {
	cmd, err := command(j)
	if err != nil {
		return nil, err
	}
	if err := start(cmd); err != nil {
		return nil, err
	}
	return func() error {
		if err := cmd.Process.Kill(); err != nil {
			return fmt.Errorf("the flood ended by itself: %w", err)
		}
		_ = cmd.Wait() // it was killed
		return nil
	}, nil
}

func command(j Job) (*exec.Cmd, error) {
	job, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), jobVariable+"=1")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(job), os.Stderr
	return cmd, nil
}

// RunChild runs the job that this process was started for, and exits. It returns if there is none.
func RunChild() {
	if os.Getenv(jobVariable) == "" {
		return
	}
	if err := runChild(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runChild() error {
	var j Job
	if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		return err
	}
	r, err := newRequester(j)
	if err != nil {
		return err
	}
	if j.Flood > 0 {
		return r.flood(j.Flood)
	}
	result, err := r.run(j)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}
