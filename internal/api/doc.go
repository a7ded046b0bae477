// Package api is the API of a running fabric: HTTP and JSON on a unix socket.
//
// [Server] is the server, [Client] is the client, and the types in this package are the requests and answers;
// docs/openapi.json describes them for other languages. Later versions may add fields, but do not remove a field or
// change its meaning.
//
// Errors are problem documents (RFC 9457). The server limits connections, listeners to events, and the duration and the
// size of requests. The package makes no decisions and does not depend on the implementation of a fabric: it calls a
// [Fabric].
package api
