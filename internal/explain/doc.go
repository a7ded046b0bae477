// Package explain says why a frame is answered, passed or dropped: the rows that were tried, the lines of the
// configuration that decided, the answer, and what to change where that is not what was wanted.
//
// It decides with the responder, as a running fabric does, and knows nothing of the decision itself. It reads neither
// the kernel nor a running fabric: what only they know, such as the host's own MAC, the caller may fill in, and the
// explanation says where it would make a difference.
package explain
