package source

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/towline/towline/internal/waittest"
)

func TestTidyKeepsWhatNoRefReaches(t *testing.T) {
	t.Parallel()
	s := setup(t, nil, nil)
	c := work(t, s.create(t, "web"))
	old := c.git("rev-parse", "HEAD")
	c.git("push", "origin", "main")
	c.git("commit", "--quiet", "--amend", "--message", "Replace")
	c.git("push", "--force", "origin", "main")
	if err := s.run(t.Context(), command{name: "web", args: []string{"gc", "--quiet"}}); err != nil {
		t.Fatal(err)
	}
	for _, commit := range []string{old, c.git("rev-parse", "HEAD")} {
		if _, err := s.Revision(t.Context(), "web", commit); err != nil {
			t.Error(err)
		}
	}
}

func TestAPushTidiesWhatHasGrown(t *testing.T) {
	t.Parallel()
	s := setup(t, nil, nil)
	c := work(t, s.create(t, "web"))
	packs := filepath.Join(s.Path("web"), "objects", "pack")
	for i := range 55 { // git repacks from 50
		hash := must[[]byte](t)(s.output(t.Context(), command{name: "web", args: []string{"hash-object", "-w", "--stdin"}, stdin: strings.NewReader(fmt.Sprint(i))}))
		must[[]byte](t)(s.output(t.Context(), command{name: "web", args: []string{"pack-objects", "--quiet", filepath.Join(packs, "pack")}, stdin: strings.NewReader(string(hash))}))
	}
	count := func() int {
		found, err := filepath.Glob(filepath.Join(packs, "*.pack"))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	if count() < 50 {
		t.Fatalf("there are %d packs", count())
	}
	c.git("push", "origin", "main")
	waittest.Until(t, "the packs to be joined", func() bool { return count() < 5 })
}
