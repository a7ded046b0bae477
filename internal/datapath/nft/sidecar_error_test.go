package nft

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSidecarError checks the messages for the errors of kernels that cannot guard a sidecar (nft_chain_parse_hook in
// net/netfilter/nf_tables_api.c), and for a missing privilege.
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
