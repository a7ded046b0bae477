// Package daemon runs a fabric as a service: it loads the configuration, reloads it when a file changes, serves the
// API, the metrics and the page, and notifies systemd.
//
// It only assembles the packages that do the work: internal/fabric, internal/reload, internal/api, internal/metrics,
// internal/page and internal/daemon/systemd.
package daemon
