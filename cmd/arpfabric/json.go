package main

import (
	"encoding/json"
	"io"
)

// writeJSON writes v as a person and a program can read it: indented, and without \u003e for the > of a frame.
func writeJSON(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(v)
}
