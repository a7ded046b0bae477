// Package transfer moves the allocations of a store to another one, as the text that a folder keeps.
package transfer
