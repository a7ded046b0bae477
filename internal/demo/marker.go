package demo

import "github.com/arpfabric/arpfabric/internal/lab"

// marker returns a frame from app to a guest that the fabric does not handle. It takes the same path as app's requests:
// once the guest has received it, no earlier frame can arrive any more.
func marker(to lab.GuestConfig) []byte {
	return lab.EchoReply(to.MAC, app.MAC, appIP, to.Addr.Addr(), nil)
}
