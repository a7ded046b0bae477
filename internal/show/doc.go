// Package show writes what a running fabric answers, for people: aligned tables, and events in tcpdump's words. It also
// writes events as a capture that Wireshark opens.
//
// It asks nobody and decides nothing. For programs there is JSON, which is what package api defines.
package show
