// Package cni is a CNI plugin, which runs after a plugin that connects a container to a bridge. It registers the
// container's address, MAC and port with a running fabric, by the API, and waits until the fabric guards the port.
//
// plugin.go has the commands of the specification, previous.go reads the result of the plugin before, and register.go
// changes allocations. An allocation belongs to a container by its name (name.go), so the plugin keeps no files.
package cni
