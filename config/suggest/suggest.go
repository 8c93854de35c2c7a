// Package suggest finds the known word nearest to a misspelt one.
package suggest

import (
	"fmt"
	"strings"
)

// UnknownKey returns the error for a key that a list of key=value pairs does not take.
func UnknownKey(key string, known []string) error {
	if near := Nearest(key, known); near != "" {
		return fmt.Errorf("unknown key %q: did you mean %q?", key, near)
	}
	return fmt.Errorf("unknown key %q: known are %s", key, strings.Join(known, ", "))
}

// Nearest returns the member of known that word probably misspells, or "" if none is near.
func Nearest(word string, known []string) string {
	spell := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "-")) }
	best, bestDistance := "", min(len(word)/3, 3)+1
	for _, k := range known {
		d := editDistance(spell(word), spell(k))
		if d < bestDistance || d == bestDistance && best != "" && k < best {
			best, bestDistance = k, d
		}
	}
	return best
}

// editDistance returns how many bytes must be inserted, deleted, replaced or swapped with their
// neighbour to turn a into b: the "optimal string alignment" distance.
// "optimal string alignment" distance.
func editDistance(a, b string) int {
	var before []int // the row two above
	above := make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			replaced := above[j]
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(above[j+1]+1, row[j]+1, replaced)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, above = above, row
	}
	return above[len(b)]
}
