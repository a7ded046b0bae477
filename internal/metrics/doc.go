// Package metrics exports the counters of a fabric to Prometheus, over HTTP.
//
// It counts nothing itself: it reads the counters at a scrape, at most once a second for all scrapes together. Labels
// hold networks, ports and reasons, but no address or MAC, so that the number of series depends on the current ports
// only. The series of a port end when the port is deleted. docs/metrics.md describes each metric.
package metrics
