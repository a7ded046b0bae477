// Package reload puts a configuration in force again when its files change, and when it is told to.
//
// A configuration that can't be read changes nothing, and the files that it names are watched, too, until they are
// repaired.
//
// How a running fabric takes another configuration is the fabric's business.
package reload
