package manifest

import (
	"fmt"
	"slices"
	"strings"
)

// nearest is the candidate that word was most likely meant to be, or empty
// when none is near.
func nearest(word string, candidates []string) string {
	best, found := len(word)/3+1, ""
	for _, c := range slices.Compact(slices.Sorted(slices.Values(candidates))) {
		if c == "" || c == word {
			continue
		}
		if strings.EqualFold(c, word) {
			return c
		}
		if d := distance(word, c, best); d <= best && (found == "" || d < best) {
			best, found = d, c
		}
	}
	return found
}

// didYouMean is `did you mean "x"? ` or empty.
func didYouMean(word string, candidates []string) string {
	if n := nearest(word, candidates); n != "" {
		return fmt.Sprintf("did you mean %q? ", n)
	}
	return ""
}

// distance is the number of letters to insert, delete, replace or swap with
// their neighbour to get from a to b; more than limit is not told apart.
func distance(a, b string, limit int) int {
	if d := len(a) - len(b); d > limit || -d > limit {
		return limit + 1
	}
	before, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := range len(a) {
		cur[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			cur[j+1] = min(prev[j]+cost, prev[j+1]+1, cur[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				cur[j+1] = min(cur[j+1], before[j-1]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(b)]
}

func atMost(items []string, n int) []string {
	if len(items) <= n {
		return items
	}
	return append(slices.Clone(items[:n]), fmt.Sprintf("and %d more", len(items)-n))
}
