// Package api is how a running fabric is asked and told: HTTP and JSON on a unix socket.
//
// [Serve] answers, [Client] asks, and the types in this package are what goes between them; docs/openapi.json describes
// it for other languages. Fields may be added to a version of the API, and are neither taken away nor given another
// meaning.
//
// Errors are problem documents (RFC 9457). Everything has a limit: how many connect at once, how many listen to
// events, how long a request may take and how large it may be. The package decides nothing and does not know how
// a fabric works: it asks a [Fabric].
package api
