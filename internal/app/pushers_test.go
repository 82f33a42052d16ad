package app

import (
	"fmt"
	"testing"

	"github.com/towline/towline/internal/forge"
)

func TestPushersAreRememberedByWhatTheyPushed(t *testing.T) {
	t.Parallel()
	var p pushers
	if got := p.of("web", "refs/heads/main", "1"); got != "" {
		t.Errorf("before anything was told: %s", got)
	}
	p.tell("web", []forge.Push{
		{Ref: "refs/heads/main", After: "1", Actor: "ada"}, {Ref: "refs/heads/main", After: "2", Actor: "ben"},
		{Ref: "refs/tags/v1", After: "object", Actor: "ada"}, {Ref: "refs/heads/gone", Deleted: true, Actor: "ada"},
	})
	for at, want := range map[pushedRef]string{
		{"web", "refs/heads/main", "1"}:     "ada",
		{"web", "refs/heads/main", "2"}:     "ben",
		{"web", "refs/heads/main", "3"}:     "",
		{"web", "refs/tags/v1", "a commit"}: "ada",
		{"web", "refs/heads/gone", ""}:      "",
		{"shop", "refs/heads/main", "1"}:    "",
	} {
		if got := p.of(at.mirror, at.ref, at.commit); got != want {
			t.Errorf("%+v was pushed by %q, want %q", at, got, want)
		}
	}
	for i := range mostPushers {
		p.tell("web", []forge.Push{{Ref: "refs/heads/main", After: fmt.Sprint("n", i), Actor: "eve"}})
	}
	if got := p.of("web", "refs/heads/main", "1"); got != "" || len(p.told) != mostPushers || len(p.order) != mostPushers {
		t.Errorf("%d pushes are remembered, %q has pushed the first", len(p.told), got)
	}
}
