// Package event is a bounded stream of verdicts to whoever listens.
//
// The fabric publishes the verdict on each frame while somebody listens, and nothing otherwise. Each listener has a
// ring of its own: when it does not take events out in time, they are lost and counted. Publishing never waits and wakes
// nobody up: listeners look into their rings every now and then.
//
// It does not encode events, and does not know where they go.
package event
