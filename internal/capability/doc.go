// Package capability raises the capabilities that the program's file grants.
//
// In the container image, an ordinary user gets capabilities(7) from the program's file. The file grants them as
// permitted but not as effective, because Linux refuses to start a file with an effective capability that the container
// lacks, and commands that need none, such as `arpfabric check`, must start anyway.
//
// The package does not report missing capabilities. Each operation that needs one reports its own failure.
package capability
