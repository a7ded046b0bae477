// Package show prints the API's answers for people: aligned tables, and events in the format of tcpdump. It also writes
// events as a capture that Wireshark can open.
//
// It sends no requests and makes no decisions. Programs should use the JSON of package api instead.
package show
