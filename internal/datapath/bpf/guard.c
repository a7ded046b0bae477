//go:build ignore

// SPDX-License-Identifier: MIT OR GPL-2.0-only

// The program at tc ingress of each guest port. It answers the guest's ARP, and sends its IPv4 straight to the port of the
// destination. It handles a frame only if the frame's verdict is certain from the maps. Every other frame goes on, and
// nftables and the fabric decide about it. So a map that lacks something makes nothing pass that must not.
//
// Package responder defines the verdicts. A verdict here is the same, with the same reason and the same bytes.

#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

// The frame goes on to the next program and then to the bridge.
#define GO_ON TC_ACT_UNSPEC

// The reasons of the verdicts that the program gives, with their numbers in package responder.
enum reason {
	RATE_LIMITED   = 5,
	SELF_PROBE     = 16,
	CONFLICT_PROBE = 17,
	ANSWERED       = 18,
	ADMITTED       = 73,
	MISPLACED_CHECKSUM = 76,
};

// A port, whose guest's ARP the program answers.
struct port {
	__u32 network;
	__u32 number;   // stands for the port's name in struct owner
	__u32 interval; // nanoseconds for each frame of ARP at the rate limit; 0 for no limit
	__u8  source[ETH_ALEN]; // Ethernet source of answers to others; zero for the owner's MAC
	bool  forwards; // send IPv4 from the port straight to its destination
	bool  locates;  // the fabric wants the frames of MACs that it has not located at the port
	bool  drops_self_probes; // policy self_probe: drop
	bool  has_host; // the host's own stack takes part, too: only what is answered counts for the rate limit
	bool  is_sidecar; // the host is the guest: others are answered only for the addresses of source, and it for all
	__u8  unused;
};

// How much of a limit is used, as a time (the theoretical arrival time of ATM's generic cell rate algorithm).
struct limit {
	__u64 arp;
	__u64 own; // requests of a sidecar's guest
	__u64 shown;
};

struct address {
	__u32 network;
	__u8  ip[4];
};

struct prefix {
	__u32 length; // in bits, with the 32 of the network
	struct address first;
};

struct owner {
	__u8  mac[ETH_ALEN];
	__u16 unused;
	__u32 port; // number of the only port that the owner may send from; 0 for any
};

struct guest {
	__u32 network;
	__u8  mac[ETH_ALEN];
	__u16 unused;
};

struct location {
	__u32 port;    // ifindex
	__u32 longest; // length in bytes of the longest frame that may leave by the port
	bool  is_gateway; // it receives IPv4 to any address
	bool  is_direct;  // nothing else on the host wants to see the frames for it in the bridge
	__u16 unused;
};

// The frames of a port that the program has handled, by reason.
struct counters {
	__u64 rate_limited;
	__u64 self_probe;
	__u64 conflict_probe;
	__u64 answered;
	__u64 admitted;
	__u64 misplaced_checksum;
};

enum request_flag {
	IS_ANSWERED = 1 << 0, // the fabric only shows it
	IS_OWN      = 1 << 1, // the sidecar's guest has sent it
};

// A request that the fabric gets to see.
struct request {
	__u32 port; // ifindex
	__u32 length; // of the whole frame, in bytes
	enum request_flag flags;
	__u8 frame[64];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32); // ifindex
	__type(value, struct port);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32); // ifindex
	__type(value, struct limit);
} limits SEC(".maps");

// The owners of single addresses.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address);
	__type(value, struct owner);
} bindings SEC(".maps");

// The owners of ranges, without the addresses in bindings.
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, struct owner);
} ranges SEC(".maps");

// The addresses that the host's own stack answers for.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address);
	__type(value, __u8);
} host SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct guest);
	__type(value, struct location);
} locations SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32); // ifindex
	__type(value, struct counters);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} shown SEC(".maps");

// How many requests found no room in the ring buffer.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

// Whether anybody wants to see the answered requests.
volatile __u32 is_watched;

// When frames no longer go past the bridge, as bpf_ktime_get_ns counts. The fabric puts it off for as long as it runs: a
// fabric that was killed does not notice that a port has left the bridge, or that others filter what crosses it.
volatile __u64 forwards_until;

// RFC 826, for IPv4 over Ethernet.
struct arp {
	__be16 hardware;
	__be16 protocol;
	__u8   hardware_length;
	__u8   protocol_length;
	__be16 operation;
	__u8   sender_mac[ETH_ALEN];
	__be32 sender_ip;
	__u8   target_mac[ETH_ALEN];
	__be32 target_ip;
} __attribute__((packed));

// RFC 791, 3.1, without options.
struct ip {
	__u8   version_and_length;
	__u8   service;
	__be16 length;
	__be16 identification;
	__be16 fragment;
	__u8   ttl;
	__u8   protocol;
	__be16 checksum;
	__be32 source;
	__be32 destination;
} __attribute__((packed));

struct frame {
	__u8   destination[ETH_ALEN];
	__u8   source[ETH_ALEN];
	__be16 type;
	union {
		struct arp arp;
		struct ip  ip;
	};
} __attribute__((packed));

// The fields that the program reads of the kernel's struct for a frame. The loader finds their places.
struct sk_buff {
	unsigned char *head;
	unsigned char *data;
	__u8  ip_summed : 2;
	__u16 csum_start; // from head
	__u16 csum_offset; // from csum_start
} __attribute__((preserve_access_index));

#define CHECKSUM_PARTIAL 3 // ip_summed: the kernel writes the checksum when the frame leaves

extern void *bpf_cast_to_kern_ctx(void *) __ksym; // Linux 6.2

struct reply {
	__u8       destination[ETH_ALEN];
	__u8       source[ETH_ALEN];
	__be16     type;
	struct arp arp;
	__u8       padding[18];
} __attribute__((packed));

ALWAYS_INLINE int is_same(const __u8 *a, const __u8 *b)
{
	return !((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4]) | (a[5] ^ b[5]));
}

ALWAYS_INLINE int is_unicast(const __u8 *mac)
{
	return !(mac[0] & 1) && (mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5]);
}

// Not multicast, not loopback, and not in 240.0.0.0/4 (RFC 1122, 3.2.1.3).
ALWAYS_INLINE int can_be_source(__be32 ip)
{
	__u32 first = bpf_ntohl(ip) >> 24;
	return first != 127 && first < 0xe0;
}

ALWAYS_INLINE struct address address_of(__u32 network, __be32 ip)
{
	struct address address = {.network = network};
	__builtin_memcpy(address.ip, &ip, sizeof(ip));
	return address;
}

ALWAYS_INLINE struct owner *owner_of(__u32 network, __be32 ip)
{
	struct address address = address_of(network, ip);
	struct owner *owner = bpf_map_lookup_elem(&bindings, &address);
	if (owner)
		return owner;
	struct prefix prefix = {64, address};
	return bpf_map_lookup_elem(&ranges, &prefix);
}

// Whether an address belongs to a MAC, which may use it on the port.
ALWAYS_INLINE int is_sender(const struct port *port, const __u8 *mac, __be32 ip)
{
	struct owner *owner = owner_of(port->network, ip);
	return owner && is_same(owner->mac, mac) && (!owner->port || owner->port == port->number);
}

ALWAYS_INLINE struct location *location_of(__u32 network, const __u8 *mac)
{
	struct guest guest = {.network = network};
	__builtin_memcpy(guest.mac, mac, ETH_ALEN);
	return bpf_map_lookup_elem(&locations, &guest);
}

ALWAYS_INLINE int is_at(const struct port *port, const __u8 *mac, __u32 ifindex)
{
	struct location *at = location_of(port->network, mac);
	return at && at->port == ifindex;
}

// Adds one frame to what is used of a limit. Two processors that do so at once may count one frame instead of two.
ALWAYS_INLINE int is_over(__u64 *used, __u32 interval)
{
	const __u64 burst = 1000000000; // the frames of one second, as in the rules of nftables
	__u64 now = bpf_ktime_get_ns(), at = *used;
	if (at < now)
		at = now;
	if (at - now >= burst)
		return 1;
	*used = at + interval;
	return 0;
}

ALWAYS_INLINE int is_rate_limited(const struct port *port, __u32 ifindex, int is_own)
{
	if (!port->interval)
		return 0;
	struct limit *limit = bpf_map_lookup_elem(&limits, &ifindex);
	return limit && is_over(is_own ? &limit->own : &limit->arp, port->interval);
}

// Not inlined, so that the object describes the types of its parameters.
static __attribute__((noinline)) void fill(struct request *r, struct __sk_buff *skb)
{
	r->length = skb->len;
	if (bpf_skb_load_bytes(skb, 0, r->frame, sizeof(r->frame)) < 0)
		bpf_skb_load_bytes(skb, 0, r->frame, sizeof(struct frame));
}

// Copies the request to the ring buffer.
ALWAYS_INLINE void tell(struct __sk_buff *skb, __u32 ifindex, enum request_flag flags)
{
	struct request *r = bpf_ringbuf_reserve(&shown, sizeof(*r), 0);
	if (!r) {
		__u32 zero = 0;
		__u64 *count = bpf_map_lookup_elem(&lost, &zero);
		if (count)
			*count += 1;
		return;
	}
	r->port = ifindex;
	r->flags = flags;
	fill(r, skb);
	bpf_ringbuf_submit(r, 0);
}

// Tells an answered request if anybody watches, up to a thousand a second for each port.
ALWAYS_INLINE void show(struct __sk_buff *skb, __u32 ifindex, enum request_flag flags)
{
	if (!is_watched)
		return;
	struct limit *limit = bpf_map_lookup_elem(&limits, &ifindex);
	if (limit && !is_over(&limit->shown, 1000000))
		tell(skb, ifindex, flags | IS_ANSWERED);
}

ALWAYS_INLINE void count(struct counters *counters, enum reason reason)
{
	switch (reason) {
	case RATE_LIMITED:       counters->rate_limited += 1; break;
	case SELF_PROBE:         counters->self_probe += 1; break;
	case CONFLICT_PROBE:     counters->conflict_probe += 1; break;
	case ANSWERED:           counters->answered += 1; break;
	case ADMITTED:           counters->admitted += 1; break;
	case MISPLACED_CHECKSUM: counters->misplaced_checksum += 1; break;
	}
}

// Records the verdict, also where a test reads it: in the frame's control block.
ALWAYS_INLINE void handle(struct __sk_buff *skb, __u32 ifindex, enum reason reason)
{
	struct counters *counters = bpf_map_lookup_elem(&counts, &ifindex);
	if (counters)
		count(counters, reason);
	skb->cb[0] = reason;
}

// Writes the answer to a request over it.
ALWAYS_INLINE int write_answer(struct __sk_buff *skb, const struct frame *request, const __u8 *owner, const __u8 *source)
{
	struct reply reply = {
		.type = bpf_htons(ETH_P_ARP),
		.arp = {
			.hardware = bpf_htons(1),
			.protocol = bpf_htons(ETH_P_IP),
			.hardware_length = ETH_ALEN,
			.protocol_length = 4,
			.operation = bpf_htons(2),
			.sender_ip = request->arp.target_ip,
			.target_ip = request->arp.sender_ip,
		},
	};
	__builtin_memcpy(reply.destination, request->source, ETH_ALEN);
	__builtin_memcpy(reply.source, source, ETH_ALEN);
	__builtin_memcpy(reply.arp.sender_mac, owner, ETH_ALEN);
	__builtin_memcpy(reply.arp.target_mac, request->arp.sender_mac, ETH_ALEN);
	if (skb->len != sizeof(reply)) {
		int err = bpf_skb_change_tail(skb, sizeof(reply), 0);
		if (err < 0)
			return err;
	}
	return bpf_skb_store_bytes(skb, 0, &reply, sizeof(reply), 0);
}

ALWAYS_INLINE int is_left_to_host(const struct port *port, __be32 ip)
{
	struct address address = address_of(port->network, ip);
	return bpf_map_lookup_elem(&host, &address) != NULL;
}

ALWAYS_INLINE int is_request(const struct arp *arp)
{
	return arp->hardware == bpf_htons(1) && arp->protocol == bpf_htons(ETH_P_IP) && arp->hardware_length == ETH_ALEN &&
	       arp->protocol_length == 4 && arp->operation == bpf_htons(1);
}

// The owner of the address that a request asks for; NULL if the fabric has to decide. These are the rows of the decision about
// ARP from the sender on, as far as the request meets none that needs the fabric.
ALWAYS_INLINE struct owner *owner_to_answer(const struct port *port, const struct frame *f, __u32 ifindex)
{
	const struct arp *arp = &f->arp;
	if (!is_unicast(arp->sender_mac) || !is_same(f->source, arp->sender_mac) || !can_be_source(arp->sender_ip))
		return NULL;
	if (arp->sender_ip == arp->target_ip || is_left_to_host(port, arp->target_ip))
		return NULL;
	if (arp->sender_ip) {
		if (!is_sender(port, arp->sender_mac, arp->sender_ip))
			return NULL;
		if (port->locates && !is_at(port, arp->sender_mac, ifindex))
			return NULL;
	}
	struct owner *owner = owner_of(port->network, arp->target_ip);
	if (owner && !arp->sender_ip && port->drops_self_probes && is_same(owner->mac, arp->sender_mac))
		return NULL;
	return owner;
}

ALWAYS_INLINE int drop_over_rate(struct __sk_buff *skb, const struct port *port, __u32 ifindex, int is_own)
{
	if (!is_rate_limited(port, ifindex, is_own))
		return 0;
	handle(skb, ifindex, RATE_LIMITED);
	return 1;
}

ALWAYS_INLINE enum reason reason_to_answer(const struct arp *arp, const struct owner *owner)
{
	if (arp->sender_ip)
		return ANSWERED;
	return is_same(owner->mac, arp->sender_mac) ? SELF_PROBE : CONFLICT_PROBE;
}

ALWAYS_INLINE int decide_arp(struct __sk_buff *skb, const struct port *port, const struct frame *f)
{
	const struct arp *arp = &f->arp;
	__u32 ifindex = skb->ifindex;
	if (!is_request(arp))
		return GO_ON;
	if (!port->has_host && drop_over_rate(skb, port, ifindex, 0))
		return TC_ACT_SHOT;
	struct owner *owner = owner_to_answer(port, f, ifindex);
	if (!owner || (port->is_sidecar && !is_same(owner->mac, port->source)))
		return GO_ON;
	if (port->has_host && drop_over_rate(skb, port, ifindex, 0))
		return TC_ACT_SHOT;
	handle(skb, ifindex, reason_to_answer(arp, owner));
	show(skb, ifindex, 0);
	if (write_answer(skb, f, owner->mac, is_unicast(port->source) ? port->source : owner->mac) < 0)
		return TC_ACT_SHOT;
	return bpf_redirect(ifindex, 0);
}

// Whether the packet is for a DHCP server or client. The fabric's rules look into these.
ALWAYS_INLINE int may_be_dhcp(struct __sk_buff *skb, const struct ip *ip)
{
	if (ip->protocol != IPPROTO_UDP || ip->fragment & bpf_htons(0x1fff))
		return 0;
	__be16 ports[2];
	if (bpf_skb_load_bytes(skb, ETH_HLEN + (ip->version_and_length & 0xf) * 4, ports, sizeof(ports)) < 0)
		return 1;
	return ports[1] == bpf_htons(67) || ports[1] == bpf_htons(68);
}

ALWAYS_INLINE int may_forward(const struct port *port)
{
	return port->forwards && bpf_ktime_get_ns() < forwards_until;
}

ALWAYS_INLINE int decide_ip(struct __sk_buff *skb, const struct port *port, const struct frame *f)
{
	const struct ip *ip = &f->ip;
	__u32 header = (ip->version_and_length & 0xf) * 4, length = bpf_ntohs(ip->length);
	if (!may_forward(port) || ip->version_and_length >> 4 != 4 || header < sizeof(*ip) || length < header ||
	    ETH_HLEN + length > skb->len)
		return GO_ON;
	if (!is_unicast(f->destination) || may_be_dhcp(skb, ip))
		return GO_ON;
	if (!is_at(port, f->source, skb->ifindex) || !is_sender(port, f->source, ip->source))
		return GO_ON;
	struct location *to = location_of(port->network, f->destination);
	if (!to || !to->is_direct || to->port == skb->ifindex || (skb->len > to->longest && !skb->gso_size))
		return GO_ON;
	if (to->is_gateway) {
		if (!can_be_source(ip->destination))
			return GO_ON;
	} else {
		struct owner *owner = owner_of(port->network, ip->destination);
		if (!owner || !is_same(owner->mac, f->destination))
			return GO_ON;
	}
	handle(skb, skb->ifindex, ADMITTED);
	skb->cb[1] = to->port;
	return bpf_redirect(to->port, 0);
}

#define NOWHERE (~0U)

// Where a guest wants the kernel to write a checksum into its frame, after all rules: in bytes from the start of the frame.
ALWAYS_INLINE __u32 checksum_place(struct __sk_buff *ctx)
{
	struct sk_buff *skb = bpf_cast_to_kern_ctx(ctx);
	if (BPF_CORE_READ_BITFIELD(skb, ip_summed) != CHECKSUM_PARTIAL)
		return NOWHERE;
	return skb->csum_start + skb->csum_offset - (skb->data - skb->head);
}

// Whether a checksum there would change what the rules have looked at. No packet has its own checksum there.
ALWAYS_INLINE int is_misplaced(struct __sk_buff *skb, const struct port *port, const struct frame *f, __u32 place)
{
	const __u32 ipv6_header = 40, udp_ports = 4, udp_checksum = 6;
	if (place < ETH_HLEN || f->type == bpf_htons(ETH_P_ARP) || bpf_ntohs(f->type) < ETH_P_802_3_MIN)
		return 1;
	if (!port->locates) // the rules look at ARP only
		return 0;
	if (f->type == bpf_htons(ETH_P_IPV6))
		return place < ETH_HLEN + ipv6_header;
	if (f->type != bpf_htons(ETH_P_IP))
		return 0;
	__u32 payload = ETH_HLEN + (f->ip.version_and_length & 0xf) * 4;
	if (f->ip.protocol != IPPROTO_UDP)
		return place < payload;
	return place < payload + udp_ports || (may_be_dhcp(skb, &f->ip) && place != payload + udp_checksum);
}

ALWAYS_INLINE int decide(struct __sk_buff *skb, __u32 checksum_place)
{
	__u32 ifindex = skb->ifindex;
	struct port *port = bpf_map_lookup_elem(&ports, &ifindex);
	if (!port)
		return GO_ON;
	struct frame frame = {}; // so that a short frame has no EtherType
	int is_short = bpf_skb_load_bytes(skb, 0, &frame, sizeof(frame)) < 0;
	if (checksum_place != NOWHERE && is_misplaced(skb, port, &frame, checksum_place)) {
		handle(skb, ifindex, MISPLACED_CHECKSUM);
		return TC_ACT_SHOT;
	}
	// A tag is never in the frame's bytes alone: then it is the EtherType.
	if (is_short || skb->vlan_present)
		return GO_ON;
	if (frame.type == bpf_htons(ETH_P_IP))
		return decide_ip(skb, port, &frame);
	if (frame.type == bpf_htons(ETH_P_ARP))
		return decide_arp(skb, port, &frame);
	return GO_ON;
}

SEC("tc")
int arpfabric(struct __sk_buff *skb)
{
	return decide(skb, checksum_place(skb));
}

// The same on kernels that do not tell programs where they write checksums.
SEC("tc")
int arpfabric_plain(struct __sk_buff *skb)
{
	return decide(skb, NOWHERE);
}

// The program at tc egress of the loopback interface, for the requests of sidecars' guests. At the egress of their own interfaces
// it would miss some: those that a packet socket sends past the queues. nftables sees all, drops each, and sends a copy here,
// whose priority is the ifindex of the guest's interface. The answer enters there, and keeps the copy's mark, by which nftables
// admits it. It must not go to the egress of an interface: what tc sends from egress to egress skips nftables.
SEC("tc")
int own_requests(struct __sk_buff *skb)
{
	__u32 ifindex = skb->priority;
	struct port *port = bpf_map_lookup_elem(&ports, &ifindex);
	struct frame f;
	if (!port || !port->is_sidecar || skb->vlan_present || bpf_skb_load_bytes(skb, 0, &f, sizeof(f)) < 0)
		return GO_ON;
	// A program of the namespace can send other frames here. They go nowhere.
	if (f.type != bpf_htons(ETH_P_ARP) || !is_request(&f.arp) || !is_same(f.source, port->source))
		return GO_ON;
	if (drop_over_rate(skb, port, ifindex, 1))
		return TC_ACT_SHOT;
	struct owner *owner = owner_to_answer(port, &f, ifindex);
	if (!owner) {
		tell(skb, ifindex, IS_OWN);
		return TC_ACT_SHOT;
	}
	handle(skb, ifindex, reason_to_answer(&f.arp, owner));
	show(skb, ifindex, IS_OWN);
	if (write_answer(skb, &f, owner->mac, owner->mac) < 0)
		return TC_ACT_SHOT;
	return bpf_redirect(ifindex, BPF_F_INGRESS);
}

// Whether a receiver may take a frame for ARP: plain, behind LLC/SNAP, or behind a second VLAN tag. The kernel has removed the
// outermost tag.
ALWAYS_INLINE int may_be_arp(struct __sk_buff *skb)
{
	__be16 type = 0, sap = 0, inner = 0;
	if (bpf_skb_load_bytes(skb, 12, &type, sizeof(type)) < 0)
		return 0;
	if (type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD))
		return bpf_skb_load_bytes(skb, 16, &inner, sizeof(inner)) == 0 && inner == bpf_htons(ETH_P_ARP);
	if (bpf_ntohs(type) < ETH_P_802_3_MIN)
		return bpf_skb_load_bytes(skb, 14, &sap, sizeof(sap)) == 0 && sap == 0xaaaa &&
		       bpf_skb_load_bytes(skb, 20, &inner, sizeof(inner)) == 0 && inner == bpf_htons(ETH_P_ARP);
	return type == bpf_htons(ETH_P_ARP);
}

// The filter of the socket by which the fabric reads the ARP of an interface that it does not guard. The socket sees frames
// before the program at tc ingress does. So the filter drops what that program answers.
SEC("socket")
int unanswered(struct __sk_buff *skb)
{
	const int whole = 1 << 18, none = 0;
	if (!may_be_arp(skb))
		return none;
	__u32 ifindex = skb->ifindex;
	struct port *port = bpf_map_lookup_elem(&ports, &ifindex);
	struct frame frame;
	if (!port || skb->vlan_present || bpf_skb_load_bytes(skb, 0, &frame, sizeof(frame)) < 0)
		return whole;
	if (frame.type != bpf_htons(ETH_P_ARP) || !is_request(&frame.arp))
		return whole;
	return owner_to_answer(port, &frame, ifindex) ? none : whole;
}

char _license[] SEC("license") = "Dual MIT/GPL";
