package codebuild

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/towline/towline/internal/awsapi/wire"
)

// pageSize is how many entries a page has, as CodeBuild's.
const pageSize = 100

// The orders of lists.
const (
	ascending  = "ASCENDING"
	descending = "DESCENDING"
)

// size is how many entries a page has: what was asked for, or the most.
func size(asked int) int {
	if asked < 1 || asked > pageSize {
		return pageSize
	}
	return asked
}

// place reads the token of a next page.
func (s *service) place(list, token string) (string, error) {
	place, err := s.Pages.Place(list, &token)
	if _, ok := errors.AsType[*wire.Fault](err); ok {
		return "", wire.Faultf("InvalidInputException", "Invalid next token: it must be one that a call with the same parameters has returned.")
	}
	return place, err
}

// asked is which page of a list is wanted.
type asked struct {
	list  string // what the token belongs to
	token string
	size  int
	order string // ascending or descending, "" for what is usual
}

// inMemory is a page of a list that is there whole, sorted by a key that no two
// of its entries share.
func inMemory[T any](s *service, a asked, all []T, key func(T) string) (page []T, next string, err error) {
	after, err := s.place(a.list, a.token)
	if err != nil {
		return nil, "", err
	}
	sign := 1
	if a.order == descending {
		sign = -1
	}
	slices.SortStableFunc(all, func(x, y T) int { return sign * strings.Compare(key(x), key(y)) })
	if after != "" {
		first := slices.IndexFunc(all, func(x T) bool { return sign*strings.Compare(key(x), after) > 0 })
		if first < 0 {
			return nil, "", nil
		}
		all = all[first:]
	}
	if len(all) <= a.size {
		return all, "", nil
	}
	return all[:a.size], s.Pages.Next(a.list, key(all[a.size-1])), nil
}

// inStore is a page of a list that the store sorts: load returns so many entries
// behind a place, 0 for the first ones.
func inStore[T any](s *service, a asked, load func(after int64, limit int) ([]T, error), place func(T) int64) (page []T, next string, err error) {
	text, err := s.place(a.list, a.token)
	if err != nil {
		return nil, "", err
	}
	var after int64
	if text != "" {
		if after, err = strconv.ParseInt(text, 10, 64); err != nil {
			return nil, "", err
		}
	}
	page, err = load(after, a.size+1)
	if err != nil || len(page) <= a.size {
		return page, "", err
	}
	page = page[:a.size]
	return page, s.Pages.Next(a.list, strconv.FormatInt(place(page[a.size-1]), 10)), nil
}
