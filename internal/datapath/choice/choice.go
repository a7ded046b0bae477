// Package choice chooses the datapath of a fabric: that of eBPF where it is possible, or else that of nftables.
package choice

import (
	"fmt"
	"strings"

	"github.com/arpfabric/arpfabric/config"
	"github.com/arpfabric/arpfabric/internal/datapath"
	"github.com/arpfabric/arpfabric/internal/datapath/bpf"
	"github.com/arpfabric/arpfabric/internal/datapath/nft"
)

// Choice is a datapath that this process can use on this machine.
type Choice struct {
	InForce config.Datapath // DatapathKernel or DatapathUser
	Why     string          // why not the kernel, for people; "" for DatapathKernel
}

// Of returns the choice that a configuration means. It returns an error if the configuration wants the kernel, and that is
// not possible. It tries what the kernel can do, and leaves nothing behind.
func Of(wanted config.Datapath) (Choice, error) {
	if wanted == config.DatapathUser {
		return Choice{config.DatapathUser, "this was chosen"}, nil
	}
	missing := bpf.Missing()
	switch {
	case len(missing) == 0:
		return Choice{InForce: config.DatapathKernel}, nil
	case wanted == config.DatapathKernel:
		return Choice{}, fmt.Errorf("the datapath `kernel` needs %s; provide it, or choose the datapath `auto` or `user`",
			strings.Join(missing, " and "))
	}
	return Choice{config.DatapathUser, "kernel needs " + strings.Join(missing, " and ")}, nil
}

// A Datapath is that of a choice.
type Datapath struct {
	datapath.Datapath
	chosen Choice
	kernel *bpf.Datapath // the same as Datapath; nil if it is another one
}

// New returns a datapath of the choice. It does not change the kernel.
func (c Choice) New() *Datapath {
	if c.InForce == config.DatapathKernel {
		kernel := bpf.New(nft.New())
		return &Datapath{kernel, c, kernel}
	}
	return &Datapath{bpf.Off(nft.New()), c, nil}
}

// State returns what is in force now: the kernel may turn out to lack something only when a program is to be attached. Any
// goroutine may call it.
func (d *Datapath) State() Choice {
	if d.kernel == nil {
		return d.chosen
	}
	if err := d.kernel.Failure(); err != nil {
		return Choice{config.DatapathUser, err.Error()}
	}
	return d.chosen
}
