package wire

import (
	"fmt"

	"github.com/mdlayher/socket"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// OpenInterface opens a packet socket that reads only the ARP frames that arrive at an interface. The kernel still
// handles these frames itself as well.
//
// The socket is bound to all EtherTypes and has a filter. A socket bound to ETH_P_ARP would get a frame only after the
// kernel has discarded its VLAN tag, and the fabric would answer a tagged request without the tag.
func OpenInterface(ifindex int) (*Packet, error) {
	return openPacket(ifindex, unix.ETH_P_ALL, func(s *socket.Conn) error {
		if err := s.SetsockoptInt(unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
			return fmt.Errorf("ignoring frames that leave (PACKET_IGNORE_OUTGOING, Linux 4.20): %w", err)
		}
		return filterARP(s)
	})
}

// FilterARP makes a socket that OpenInterface has opened read all ARP, as at first.
func (p *Packet) FilterARP() error { return filterARP(p.socket) }

func filterARP(s *socket.Conn) error {
	if err := s.SetBPF(arpFilter()); err != nil {
		return fmt.Errorf("filtering for ARP: %w", err)
	}
	return nil
}

// Filter makes the socket read only what an eBPF program of the type socket filter passes (SO_ATTACH_BPF in socket(7)), in place
// of the filter that it has. program is the program's file descriptor.
func (p *Packet) Filter(program int) error {
	if err := p.socket.SetsockoptInt(unix.SOL_SOCKET, unix.SO_ATTACH_BPF, program); err != nil {
		return fmt.Errorf("filtering with an eBPF program: %w", err)
	}
	return nil
}

// arpFilter returns a filter that passes every frame that a receiver may take for ARP: plain, behind LLC/SNAP, and
// behind a second VLAN tag. The kernel has removed the outermost tag when the filter runs.
func arpFilter() []bpf.RawInstruction {
	const pass, drop = 1 << 18, 0 // bytes of the frame to keep
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2}, // EtherType
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_ARP, SkipTrue: 11},
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: unix.ETH_P_802_3_MIN, SkipTrue: 5}, // a length: LLC

		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_8021Q, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_8021AD, SkipTrue: 7},
		bpf.LoadAbsolute{Off: 16, Size: 2}, // EtherType behind the second tag
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_ARP, SkipTrue: 6},
		bpf.RetConstant{Val: drop},

		bpf.LoadAbsolute{Off: 14, Size: 2}, // DSAP and SSAP
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0xaaaa, SkipTrue: 2},
		bpf.LoadAbsolute{Off: 20, Size: 2}, // EtherType of the SNAP header
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_ARP, SkipTrue: 1},

		bpf.RetConstant{Val: drop},
		bpf.RetConstant{Val: pass},
	})
	if err != nil {
		panic(err) // the program is a constant
	}
	return filter
}
