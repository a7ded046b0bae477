package demo

import "github.com/arpfabric/arpfabric/internal/lab"

// mark returns a frame from app to a guest that the fabric has no say in. It takes the way that the
// requests took: once it is there, what is not there yet will never be.
func mark(to lab.GuestConfig) []byte {
	return lab.EchoReply(to.MAC, app.MAC, appIP, to.Addr.Addr(), nil)
}
