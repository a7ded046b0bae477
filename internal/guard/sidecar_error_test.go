package guard

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSidecarError has what kernels say that can't guard a sidecar (nft_chain_parse_hook in
// net/netfilter/nf_tables_api.c), and what a process hears that may not.
func TestSidecarError(t *testing.T) {
	for errno, want := range map[unix.Errno]string{
		unix.EOPNOTSUPP: "Linux 5.16 or later",
		unix.EPERM:      "run as root or with CAP_NET_ADMIN",
		unix.ENOENT:     "nftables table netdev arpfabric",
	} {
		if got := sidecarError(fmt.Errorf("receive: %w", errno)).Error(); !strings.Contains(got, want) {
			t.Errorf("%v: %s; want %s", errno, got, want)
		}
	}
}
