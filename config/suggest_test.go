package config

import "testing"

func TestNearest(t *testing.T) {
	words := []string{"attach", "bridge", "guard", "interface", "mac", "mode", "port", "tap", "uplinks"}
	tests := []struct{ text, want string }{
		{"brigde", "bridge"},
		{"Bridge", "bridge"},
		{"bridges", "bridge"},
		{"atach", "attach"},
		{"gaurd", "guard"},
		{"mod", "mode"},
		{"MAC", "mac"},
		{"interfaces", "interface"},
		{"iface", ""},
		{"host", ""},
		{"api", ""},
		{"", ""},
		{"bridgebridgebridgebridgebridgebridge", ""},
	}
	for _, test := range tests {
		if got := nearest(test.text, words); got != test.want {
			t.Errorf("nearest(%q) is %q, want %q", test.text, got, test.want)
		}
	}
}
