// Package config reads arpfabric's configuration: one YAML file and the ethers(5) files it names.
//
// [Load] returns a [Config] in which every value has been checked and every registry built, or a
// [Problems] with everything that is wrong, each with its file, line and path, sorted as a compiler would. It says
// which files those are in both cases.
//
// Of YAML it takes one document of mappings, lists and plain values, and refuses anchors, aliases, merge
// keys and tags. It reads values as they are written, whatever YAML would make of an unquoted number or
// yes. Names of hosts in ethers files are not resolved: they are errors.
//
// The package does not look at the machine: whether a bridge exists, or a privilege is missing, is found
// out when the fabric starts.
package config
