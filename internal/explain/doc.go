// Package explain explains why a frame is answered, passed or dropped: the rows of the decision tables that were
// evaluated, the lines of the configuration that decided, the answer, and how to change an unwanted drop.
//
// It decides with the responder, as a running fabric does, and has no rules of its own. It reads neither the kernel nor
// a running fabric. The caller may supply facts that only they know, such as the host's own MAC; an explanation tells
// where a missing fact would matter.
package explain
