package lab

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Process is a program that runs beside this one. The kernel kills it when this program ends.
type Process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// StartProcess starts a program in the guest.
func (g *Guest) StartProcess(cmd *exec.Cmd) (*Process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	p := &Process{cmd: cmd, ended: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		defer close(p.ended)
		err := g.Do(func() error {
			if err := cmd.Start(); err != nil {
				return err
			}
			started <- nil
			_ = cmd.Wait() // on the same thread: the kernel sends Pdeathsig when the thread that started the process ends
			return nil
		})
		if err != nil {
			started <- err
		}
	}()
	return p, <-started
}

// Ended returns a channel that is closed when the program has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Kill kills the program, and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.ended
}
