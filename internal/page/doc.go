// Package page serves the page that shows a running fabric in a browser.
//
// The page is static: its files are embedded, need no build, and load nothing from elsewhere. It asks the read-only
// handler of internal/api for everything that it shows, so that nobody can change anything by it.
//
// Each request is checked before anything answers it: access.go.
package page
