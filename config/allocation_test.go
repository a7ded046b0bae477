package config

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func mustRange(text string) Range {
	r, err := ParseRange(text)
	if err != nil {
		panic(err)
	}
	return r
}

// describe has all of an allocation.
func (a Allocation) describe() string { return fmt.Sprint(a.From, a.Reserved, a.MAC, a.Hold) }

func TestAllocation(t *testing.T) {
	tests := []struct{ name, network, want string }{
		{"default", `subnet: 10.239.0.0/24`, Allocation{MAC: pattern("02:00:*:de:54:a8"), Hold: 10 * time.Minute}.describe()},
		{"small", `subnet: 10.239.0.0/30`, Allocation{MAC: pattern("02:00:*:de:54:a8"), Hold: 10 * time.Minute}.describe()},
		{"large", `subnet: 10.239.0.0/16`, Allocation{MAC: pattern("02:*:*:de:54:a8"), Hold: 10 * time.Minute}.describe()},
		{"largest", `subnet: 10.0.0.0/8`, Allocation{MAC: pattern("02:*:*:*:54:a8"), Hold: 10 * time.Minute}.describe()},
		{"no subnet", `mode: vpc`, Allocation{MAC: pattern("02:*:*:de:54:a8"), Hold: 10 * time.Minute}.describe()},
		{
			"written",
			`allocation: {from: 10.239.0.16/28, reserved: [10.239.0.17, 10.239.0.20-10.239.0.21], mac: "02:aa:*:*:*:*", hold: 0s}`,
			Allocation{
				From: mustRange("10.239.0.16-10.239.0.31"), MAC: pattern("02:aa:*:*:*:*"),
				Reserved: []Range{mustRange("10.239.0.17"), mustRange("10.239.0.20-10.239.0.21")},
			}.describe(),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mustLoad(t, "networks:\n  lab:\n    attach: {bridge: br0}\n    registry: {10.239.0.1: \"02:00:00:de:54:a8\"}\n    "+tt.network+"\n")
			if got := c.Networks[0].Allocation.describe(); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func pattern(text string) MACPattern {
	p, err := ParseMACPattern(text)
	if err != nil {
		panic(err)
	}
	return p
}

func TestMACPattern(t *testing.T) {
	tests := []struct {
		pattern string
		n       uint64
		want    string
	}{
		{"02:00:*:de:54:a8", 7, "02:00:07:de:54:a8"},
		{"02:00:*:de:54:a8", 256, "02:00:00:de:54:a8"},
		{"02:*:*:de:54:a8", 0x1234, "02:12:34:de:54:a8"},
		{"06:*:00:*:00:*", 0x123456, "06:12:00:34:00:56"},
	}
	for _, tt := range tests {
		p := pattern(tt.pattern)
		if got := p.MAC(tt.n).String(); got != tt.want || p.String() != tt.pattern {
			t.Errorf("%s makes %s of %d, want %s", p, got, tt.n, tt.want)
		}
	}
	if n := pattern("02:*:*:de:54:a8").Len(); n != 1<<16 {
		t.Errorf("%d MACs", n)
	}
	for _, text := range []string{"", "*", "02:00:00:de:54:a8", "*:00:00:de:54:a8", "03:00:*:de:54:a8", "02:0:*:de:54:a8", "02:00:*:de:54:zz", "02:00:*:de:54", "02:00:*:de:54:a8:00"} {
		if p, err := ParseMACPattern(text); err == nil {
			t.Errorf("%s is a pattern: %s", text, p)
		}
	}
}

func TestRange(t *testing.T) {
	r := mustRange("10.239.0.16-10.239.0.31")
	for text, want := range map[string]bool{"10.239.0.15": false, "10.239.0.16": true, "10.239.0.31": true, "10.239.0.32": false} {
		if got := r.Contains(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s has %s: %v", r, text, got)
		}
	}
	if (Range{}).Contains(netip.MustParseAddr("10.239.0.1")) {
		t.Error("the zero Range has an address")
	}
}
