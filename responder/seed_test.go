package responder_test

import (
	"testing"

	"github.com/arpfabric/arpfabric/responder"
)

// TestCapture replays the frames that guest 10.239.0.101 of a cloud's subnet sent, and expects the answers that it
// received.
func TestCapture(t *testing.T) {
	n := newNetwork(t, responder.Policy{},
		bind("10.239.0.1", "02:00:00:de:54:a8"),
		bind("10.239.0.101", "02:00:06:de:54:a8"),
		bind("10.239.0.102", "02:00:07:de:54:a8"),
	)

	tests := []struct {
		name           string
		sent, seen     string // in hexadecimal
		sentAs, seenAs string // in tcpdump's words
		reason         responder.Reason
	}{
		{
			name: "the gateway",
			sent: `ffffffffffff 020006de54a8 0806 0001 0800 06 04 0001
			       020006de54a8 0aef0065 000000000000 0aef0001`,
			sentAs: "ARP, Request who-has 10.239.0.1 tell 10.239.0.101, length 28",
			seen: `020006de54a8 020000de54a8 0806 0001 0800 06 04 0002
			       020000de54a8 0aef0001 020006de54a8 0aef0065
			       000000000000000000000000000000000000`,
			seenAs: "ARP, Reply 10.239.0.1 is-at 02:00:00:de:54:a8, length 46",
			reason: responder.Answered,
		},
		{
			name: "the other guest",
			sent: `ffffffffffff 020006de54a8 0806 0001 0800 06 04 0001
			       020006de54a8 0aef0065 000000000000 0aef0066`,
			sentAs: "ARP, Request who-has 10.239.0.102 tell 10.239.0.101, length 28",
			seen: `020006de54a8 020007de54a8 0806 0001 0800 06 04 0002
			       020007de54a8 0aef0066 020006de54a8 0aef0065
			       000000000000000000000000000000000000`,
			seenAs: "ARP, Reply 10.239.0.102 is-at 02:00:07:de:54:a8, length 46",
			reason: responder.Answered,
		},
		{
			name: "its own address, as a probe",
			sent: `ffffffffffff 020006de54a8 0806 0001 0800 06 04 0001
			       020006de54a8 00000000 ffffffffffff 0aef0065`,
			sentAs: "ARP, Request who-has 10.239.0.101 (ff:ff:ff:ff:ff:ff) tell 0.0.0.0, length 28",
			seen: `020006de54a8 020006de54a8 0806 0001 0800 06 04 0002
			       020006de54a8 0aef0065 020006de54a8 00000000
			       000000000000000000000000000000000000`,
			seenAs: "ARP, Reply 10.239.0.101 is-at 02:00:06:de:54:a8, length 46",
			reason: responder.SelfProbe,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			frame := unhex(t, tt.sent)
			v, answer := decide(t, n, responder.Ingress{Port: "vnet0"}, frame)
			checkVerdict(t, v, answer, responder.Reply, tt.reason, tt.seen)
			if got := responder.Describe(frame); got != tt.sentAs {
				t.Errorf("sent %q; want %q", got, tt.sentAs)
			}
			if got := responder.Describe(answer); got != tt.seenAs {
				t.Errorf("seen %q; want %q", got, tt.seenAs)
			}
		})
	}
}
