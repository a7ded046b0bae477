package wire

import (
	"testing"

	"golang.org/x/net/bpf"
)

func TestARPFilter(t *testing.T) {
	instructions, ok := bpf.Disassemble(arpFilter())
	if !ok {
		t.Fatal("the filter can't be disassembled")
	}
	vm, err := bpf.NewVM(instructions)
	if err != nil {
		t.Fatal(err)
	}
	const macs = "ffffffffffff 020006de54a8 "
	const rest = "0001080006040001"
	tests := []struct {
		name, frame string
		passes      bool
	}{
		{"ARP", macs + "0806" + rest, true},
		{"ARP without a body", macs + "0806", true},
		{"IPv4", macs + "0800" + rest, false},
		{"IPv6", macs + "86dd" + rest, false},
		{"RARP", macs + "8035" + rest, false},
		{"ARP behind 802.1Q", macs + "8100 0000 0806" + rest, true},
		{"ARP behind 802.1ad", macs + "88a8 0000 0806" + rest, true},
		{"IPv4 behind 802.1Q", macs + "8100 0000 0800" + rest, false},
		{"ARP behind SNAP", macs + "0024 aaaa03 000000 0806" + rest, true},
		{"ARP behind SNAP, another organization", macs + "0024 aaaa03 0000f8 0806" + rest, true},
		{"IPv4 behind SNAP", macs + "0024 aaaa03 000000 0800" + rest, false},
		{"spanning tree", macs + "0026 424203 000000 0806" + rest, false},
		{"runt", "ffffffffffff", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, err := vm.Run(fromHex(t, tt.frame))
			if err != nil {
				t.Fatal(err)
			}
			if passes := n > 0; passes != tt.passes {
				t.Errorf("passes = %v, want %v", passes, tt.passes)
			}
		})
	}
}
