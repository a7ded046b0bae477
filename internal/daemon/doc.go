// Package daemon runs a fabric as a service: it loads the configuration, loads it again when it changes, and lets
// operators ask and Prometheus fetch metrics.
//
// It puts the fabric together with what is around it, and does none of the work: see internal/fabric, internal/reload,
// internal/api and internal/metrics.
package daemon
