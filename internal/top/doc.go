// Package top shows the ports of a running fabric as a live table in the terminal, for `arpfabric top`: their guests, rates,
// reasons and violations. Keys sort, filter, and explain the last frame of a row.
//
// The Model does no I/O itself: its commands ask the fabric, and their answers come back as messages, so that tests need no
// terminal.
package top
