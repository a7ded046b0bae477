// Package metrics exports what a fabric counts to Prometheus, over HTTP.
//
// Nothing is counted here: all is read when somebody asks, once a second at most however many ask. There are labels for
// networks, ports and reasons, and none for addresses: there are as many series as the ports that there are make, and
// those of a port are gone when it is. docs/metrics.md says what each metric means.
package metrics
