// Package config reads arpfabric's configuration: one YAML file and the ethers(5) files that it names.
//
// [Load] returns a [Config] in which every value is checked and every registry is built, or a [Problems] with all
// mistakes, each with its file, line and path, sorted like a compiler's errors. In both cases it returns the names of the
// files.
//
// The YAML file is one document of mappings, lists and plain values. Anchors, aliases, merge keys and tags are errors.
// Values are read as they are written, regardless of the type that YAML gives to an unquoted number or yes. Host names in
// ethers files are resolved by the hosts(5) files that the YAML file names, and never by DNS.
//
// The package does not look at the machine. Whether a bridge exists, or a privilege is missing, is known only when the
// fabric starts.
package config
