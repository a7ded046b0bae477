// Command arpfabric-cni is a CNI plugin. A container runtime starts it, with the command in CNI_COMMAND.
package main

import (
	"github.com/arpfabric/arpfabric/internal/build"
	"github.com/arpfabric/arpfabric/internal/cni"
	"github.com/containernetworking/cni/pkg/skel"
)

func main() {
	skel.PluginMainFuncs(cni.Commands, cni.Versions, "CNI plugin arpfabric "+build.Read().Version)
}
