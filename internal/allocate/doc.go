// Package allocate decides about allocations: which address and MAC a request gets, or why it gets none.
//
// The package is pure. It sees the bindings in force, the store's table and the time, and returns the change that the
// store has to make.
package allocate
