package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/arpfabric/arpfabric/config"
)

const fewestHosts, mostHosts = 2, 9

// CheckHosts returns an error if the demo cannot run on a number of hosts.
func CheckHosts(number int) error {
	if number < fewestHosts || number > mostHosts {
		return fmt.Errorf("--hosts: want %d to %d hosts, not %d; without --hosts, the demo runs on one", fewestHosts, mostHosts, number)
	}
	if _, err := exec.LookPath("etcd"); err != nil {
		return errors.New("--hosts needs etcd, which is not in your PATH: apt install etcd-server (Debian, Ubuntu), or see https://etcd.io")
	}
	return nil
}

// RunHosts shows a network over a number of hosts, and prints a report to out. It returns an error if anything is not as it must
// be.
func RunHosts(ctx context.Context, number int, datapath config.Datapath, out io.Writer) error {
	start := time.Now()
	printHostsIntroduction(out, number, datapath)
	t, err := newHostsTestbed(ctx, number, datapath)
	if ctx.Err() != nil {
		err = errInterrupted
	}
	if err != nil {
		return err
	}
	defer t.remove()
	failed := 0
	for _, p := range parts {
		err := t.showAndPrint(ctx, p, out)
		if ctx.Err() != nil {
			return errInterrupted
		}
		if err != nil {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of the %d parts failed", failed, len(parts))
	}
	printHostsSuccess(out, time.Since(start))
	return nil
}

func (t *hostsTestbed) showAndPrint(ctx context.Context, p part, out io.Writer) error {
	printTitle(out, p.title)
	a := &account{out: out, start: time.Now(), isSpace: true}
	evidence, err := p.show(t, ctx, a)
	a.conclude(evidence, err)
	return err
}
