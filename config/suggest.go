package config

import (
	"strings"

	edlib "github.com/hbollon/go-edlib"
)

// nearest returns the word that text most likely misspells, or "" if more than a third of the letters would be wrong.
// Two letters in the wrong order count as one mistake.
func nearest(text string, words []string) string {
	const longest = 32 // No key is nearly as long, and comparing a very long text would take very long.
	if len(text) > longest {
		return ""
	}
	best, fewest := "", len(text)/3+1
	for _, word := range words {
		if mistakes := edlib.OSADamerauLevenshteinDistance(strings.ToLower(text), word); mistakes < fewest {
			best, fewest = word, mistakes
		}
	}
	return best
}
