// Package event streams verdicts to subscribers, within limits.
//
// The fabric publishes the verdict on each frame. A listener begins with the last ones, if it wants them. Each listener has a ring buffer of its own:
// if it does not take events in time, new events are lost and counted. Publishing never blocks and wakes no goroutine:
// listeners poll their rings.
//
// The package does not encode events.
package event
