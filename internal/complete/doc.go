// Package complete suggests what may be typed next on a command line: what a running fabric knows, and the words of
// filters.
//
// It asks the fabric and decides nothing. A suggestion is a word, or a word and what it is with a tab between them, as
// cobra writes it for the shells.
package complete
