// Package examples holds the reference configuration, for what describes the configuration's keys elsewhere: the
// comments in it are where each key is explained.
package examples

import _ "embed"

// Reference is reference.yaml: every key there is, with what it means in the comment above or beside it.
//
//go:embed reference.yaml
var Reference []byte
