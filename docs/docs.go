// Package docs has the pages that the program itself serves.
package docs

import _ "embed"

// OpenAPI describes the API of a running fabric, and the JSON that commands write.
//
//go:embed openapi.json
var OpenAPI []byte
