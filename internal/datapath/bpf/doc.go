// Package bpf is the datapath of eBPF. A program at tc ingress of each guest port answers ARP and sends IPv4 straight to
// the port of its destination, without the fabric and past the bridge. The programs outlive the process.
//
// The programs handle the frames whose verdict is certain from their maps. All other frames go on to another datapath,
// that of nftables, which stays in force beneath: it hands ARP to the fabric, drops what is not on the allow-list, and
// samples what the fabric has to see. If a program is missing, frames are handled more slowly, and none leaks.
//
// The package doesn't decide: package responder does, and a test holds the programs to it. It handles bridges, with VLANs
// and without, and interfaces and sidecars, where it only answers. TAPs are left to the other datapath. So is the guard of a
// sidecar: the hook of nftables at egress comes before that of tc, and sees what a packet socket sends past the queues
// (PACKET_QDISC_BYPASS). It copies the guest's own requests to the egress of the loopback interface, for a program there.
package bpf

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-14 -strip llvm-strip-14 -target bpfel,bpfeb -no-global-types -type port -type limit -type address -type prefix -type owner -type guest -type location -type counters -type request_flag -type request guard guard.c -- -O2 -g -Wall -Wextra -Werror -mcpu=v2 -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu
