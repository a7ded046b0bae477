// Package filewatch tells when files have changed.
//
// It watches the folders the files are in, not the files: editors and DHCP servers write a new file and rename it over
// the old one, and Kubernetes swaps a symbolic link beside it. A burst of changes is one. A file that is written again
// with the content that was read has not changed.
package filewatch
