// The program is the current release of the etcd server. The tests of package etcd run it beside Debian's. It has a module of
// its own, so that arpfabric's does not get the server's dependencies.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
