package fabric_test

import "testing"

// TestWhoseFramesTheKernelCounts holds that what is not known is not taken for 0: only a bridge's guest ports have
// frames that the kernel alone has seen and counts by their names.
func TestWhoseFramesTheKernelCounts(t *testing.T) {
	each(t, attachments, func(t *testing.T, s *stage) {
		f := start(t, network(s.attach))
		f.expectPort(t, s.port)
		for _, c := range f.Counts() {
			if want := s.attachment == onBridge && c.Port != bridgeName; c.Tallied != want {
				t.Errorf("%s: Tallied is %v, want %v", c.Port, c.Tallied, want)
			}
		}
	})
}
