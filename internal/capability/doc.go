// Package capability makes use of the capabilities that the program's file grants it.
//
// A program that is not root gets capabilities(7) from its file, as in the container image. There the file grants
// them as permitted and not as effective: Linux refuses to start a file that grants an effective capability which the
// container does not have, and what needs none, such as `arpfabric check`, must start all the same.
//
// It does not say which capabilities are missing. What needs one says so when it is refused.
package capability
