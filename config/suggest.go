package config

import "strings"

// nearest returns the one of words that text was probably meant to be, or nothing: at most every third
// letter may be wrong.
func nearest(text string, words []string) string {
	const longest = 32 // to look at; no key is nearly as long
	if len(text) > longest {
		return ""
	}
	best, least := "", len(text)/3+1
	for _, word := range words {
		if d := distance(strings.ToLower(text), word); d < least {
			best, least = word, d
		}
	}
	return best
}

// distance is how many letters have to be added, removed, replaced, or swapped with the next to make b of
// a (optimal string alignment).
func distance(a, b string) int {
	table := make([][]int, len(a)+1) // [i][j] for the first i letters of a and j of b
	for i := range table {
		table[i] = make([]int, len(b)+1)
		for j := range table[i] {
			switch {
			case i == 0 || j == 0:
				table[i][j] = i + j
				continue
			case a[i-1] == b[j-1]:
				table[i][j] = table[i-1][j-1]
				continue
			}
			table[i][j] = 1 + min(table[i-1][j-1], table[i-1][j], table[i][j-1])
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				table[i][j] = min(table[i][j], 1+table[i-2][j-2])
			}
		}
	}
	return table[len(a)][len(b)]
}
