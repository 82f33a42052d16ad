package source

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChanges(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := setup(t, nil, nil)
	c := work(t, s.create(t, "web"))
	first := c.git("rev-parse", "HEAD")
	c.write("b/two words", "1")
	c.write("b/ü\nx", "1")
	c.commit("a", "1", "Add")
	c.git("mv", "a", "z")
	second := c.commit("README", "bye\n", "Rename and change")
	c.git("checkout", "--quiet", "-b", "side", first)
	side := c.commit("side", "1", "Beside")
	c.git("checkout", "--quiet", "--orphan", "island")
	island := c.commit("island", "1", "Apart")
	c.git("push", "origin", second+":refs/heads/main", "side", "island")
	for _, tt := range []struct {
		name, older, newer string
		want               []string
	}{
		{"over several commits, with both names of a file that was renamed in between", first, second, []string{"README", "b/two words", "b/ü\nx", "z"}},
		{"backwards, as a forced push goes", second, first, []string{"README", "b/two words", "b/ü\nx", "z"}},
		{"across branches", second, side, []string{"README", "b/two words", "b/ü\nx", "side", "z"}},
		{"of a commit to itself", first, first, nil},
		{"of a new branch: what it adds to the default branch", "", side, []string{"side"}},
		{"of a new branch that adds nothing", "", first, nil},
		{"of a branch that has nothing in common with the default branch: all of it", "", island, []string{"README", "island", "side"}},
		{"of a branch that is gone", first, "", nil},
	} {
		got, err := s.Changes(ctx, "web", tt.older, tt.newer)
		if err != nil || !got.Complete {
			t.Errorf("%s: %v, %+v", tt.name, err, got)
		}
		if diff := cmp.Diff(tt.want, got.Paths); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	t.Run("what a pull request changes is counted from where it left its branch", func(t *testing.T) {
		base, err := s.MergeBase(ctx, "web", second, side)
		if err != nil || base != first {
			t.Fatalf("%s, %v", base, err)
		}
		if got, err := s.Changes(ctx, "web", base, side); err != nil || len(got.Paths) != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		if base, err := s.MergeBase(ctx, "web", second, island); err != nil || base != "" {
			t.Errorf("%q, %v", base, err)
		}
		_, err = s.MergeBase(ctx, "web", second, "main")
		wantKind(t, err, ErrInvalid)
	})
	t.Run("both names of a file that is renamed", func(t *testing.T) {
		got, err := s.Changes(ctx, "web", c.git("rev-parse", second+"~1"), second)
		if diff := cmp.Diff([]string{"README", "a", "z"}, got.Paths); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
	t.Run("a commit that is not there", func(t *testing.T) {
		_, err := s.Changes(ctx, "web", strings.Repeat("1", 40), second)
		wantKind(t, err, ErrNoRevision)
		_, err = s.Changes(ctx, "web", "", strings.Repeat("1", 40))
		wantKind(t, err, ErrNoRevision)
		_, err = s.Changes(ctx, "web", "main", second)
		wantKind(t, err, ErrInvalid)
		_, err = s.Changes(ctx, "shop", first, second)
		wantKind(t, err, ErrNoRepository)
	})
	t.Run("no more than there may be, and it says so", func(t *testing.T) {
		var input strings.Builder
		fmt.Fprintf(&input, "commit refs/heads/many\ncommitter A <a@b> 1 +0000\ndata 0\n")
		for i := range MaxChanges + 1 {
			fmt.Fprintf(&input, "M 100644 inline f%d\ndata 0\n", i)
		}
		load := c.command("fast-import", "--quiet")
		load.Stdin = strings.NewReader(input.String())
		if out, err := load.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		c.git("push", "origin", "many")
		got, err := s.Changes(ctx, "web", "", c.git("rev-parse", "many"))
		if err != nil || got.Complete || len(got.Paths) != MaxChanges {
			t.Errorf("%v, %d paths, complete %v", err, len(got.Paths), got.Complete)
		}
	})
}
