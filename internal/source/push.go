package source

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Push is what one git push has changed in a repository. The refs are stored
// when it is made; it reports and cannot refuse.
type Push struct {
	Repository string   `json:"repository"`
	Updates    []Update `json:"updates"`
}

// Update is one ref that a push has moved.
type Update struct {
	Ref string `json:"ref"`           // such as refs/heads/main
	Old string `json:"old,omitempty"` // object before; empty when the ref is new
	New string `json:"new,omitempty"` // object now (see Answer); empty when the ref is deleted
}

// Branch returns the branch that the update moves, or ok == false when the ref
// is none.
func (u Update) Branch() (name string, ok bool) {
	return strings.CutPrefix(u.Ref, "refs/heads/")
}

// Tag returns the tag that the update moves, or ok == false when the ref is none.
func (u Update) Tag() (name string, ok bool) {
	return strings.CutPrefix(u.Ref, "refs/tags/")
}

// The most that one push may tell. Git itself limits neither.
const (
	maxUpdates = 100_000
	maxRef     = 4 << 10
)

// parseUpdates reads what git gives to a post-receive hook: lines of old
// object, new object and ref, with zeros for no object.
func parseUpdates(in io.Reader) ([]Update, error) {
	var updates []Update
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 1<<10), maxRef)
	for lines.Scan() {
		before, rest, _ := strings.Cut(lines.Text(), " ")
		after, ref, ok := strings.Cut(rest, " ")
		if !ok || !isHash(before) || !isHash(after) || !strings.HasPrefix(ref, "refs/") {
			return nil, fmt.Errorf("read updates: line %d is not OLD NEW REF: %.100q", len(updates)+1, lines.Text())
		}
		if len(updates) == maxUpdates {
			return nil, fmt.Errorf("read updates: more than %d refs in one push", maxUpdates)
		}
		updates = append(updates, Update{Ref: ref, Old: object(before), New: object(after)})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read updates: %w", err)
	}
	return updates, nil
}

// object is the object that a hook's line names, or empty for the zeros.
func object(hash string) string {
	if strings.Trim(hash, "0") == "" {
		return ""
	}
	return hash
}
