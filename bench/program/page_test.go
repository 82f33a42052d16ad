package program_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/bench/program"
)

func TestAPageKeepsWhatPeopleHaveWritten(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "page.md")
	want := func(what, page string) {
		t.Helper()
		got, err := os.ReadFile(file)
		if diff := cmp.Diff(page, string(got)); diff != "" || err != nil {
			t.Errorf("%s: %v, page (-want +got):\n%s", what, err, diff)
		}
	}
	write := func(text string) {
		t.Helper()
		if err := program.Page(file, text); err != nil {
			t.Fatal(err)
		}
	}
	write("# One\n")
	want("a new page", "# One\n")
	if err := os.WriteFile(file, []byte("# One\n\n## What the figures say\nMuch.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	write("# Two\n\n")
	want("one with notes", "# Two\n\n## What the figures say\nMuch.\n")
	write("# Three\n")
	want("the same once more", "# Three\n\n## What the figures say\nMuch.\n")
	if err := program.Page("", "# Nowhere\n"); err != nil {
		t.Error(err)
	}
}
