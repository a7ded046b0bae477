// Package store keeps allocations: bindings made at runtime, which must outlive the process.
//
// A [Store] is the only thing that a fabric writes at runtime. [File] is the one implementation: a folder with a file of
// all allocations, which an operator can read and edit, and a journal of the changes since. A change is durable before
// [Store.Commit] returns. The journal is also the history.
//
// The package decides nothing: it does not know which address is free, nor which binding is in force.
package store
