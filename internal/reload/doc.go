// Package reload puts a configuration in force again when its files change, and when it is told to.
//
// It watches the folders the files are in, not the files: editors write a new file and rename it over
// the old one, and Kubernetes swaps a symbolic link beside it. A burst of changes is one. A file that is written
// again with the content that was read has not changed: the configuration is not reloaded. A configuration
// that can't be read changes nothing, and the files that it names are watched, too, until they are repaired.
//
// How a running fabric takes another configuration is the fabric's business.
package reload
