package fabric_test

import "testing"

// TestKernelCounted checks that unknown counters are not reported as 0: only a bridge's guest ports have counters of
// the kernel, and with the kernel datapath interfaces.
func TestKernelCounted(t *testing.T) {
	each(t, attachments, func(t *testing.T, s *stage) {
		f := start(t, network(s.attach))
		f.expectPort(t, s.port)
		for _, c := range f.Counts() {
			hasCounters := s.attachment == onBridge || s.attachment == onInterface && f.datapath.Program() != nil
			if want := hasCounters && c.Port != bridgeName; c.KernelCounted != want {
				t.Errorf("%s: KernelCounted is %v, want %v", c.Port, c.KernelCounted, want)
			}
		}
	})
}
