package manifest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// nearest is the candidate that word was most likely meant to be, or empty
// when none is near.
func nearest(word string, candidates []string) string {
	best, found := len(word)/3+2, ""
	for _, c := range slices.Compact(slices.Sorted(slices.Values(candidates))) {
		if c == "" || c == word {
			continue
		}
		if strings.EqualFold(c, word) {
			return c
		}
		if d := levenshtein.ComputeDistance(word, c); d < best {
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

func atMost(items []string, n int) []string {
	if len(items) <= n {
		return items
	}
	return append(slices.Clone(items[:n]), fmt.Sprintf("and %d more", len(items)-n))
}
