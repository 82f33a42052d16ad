package buildspec_test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/buildspec"
)

// update writes what the files of the corpus say as what they should say.
var update = flag.Bool("update", false, "write testdata/corpus/*.want")

func corpus(tb testing.TB) []string {
	tb.Helper()
	names, err := filepath.Glob("testdata/corpus/*.yml")
	if err != nil || len(names) < 15 {
		tb.Fatalf("the corpus has %d files: %v", len(names), err)
	}
	return names
}

// TestParseReadsWhatPeopleWrite reads files such as are found in repositories,
// and compares all that they say, and all that is said of them, with the file
// beside each.
func TestParseReadsWhatPeopleWrite(t *testing.T) {
	t.Parallel()
	for _, name := range corpus(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			spec, err := buildspec.Parse("buildspec.yml", text)
			if err != nil {
				t.Fatal(err)
			}
			got := outline(spec)
			wanted := strings.TrimSuffix(name, ".yml") + ".want"
			if *update {
				if err := os.WriteFile(wanted, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(wanted)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error("(-want +got)\n", diff)
			}
		})
	}
}

// outline is a spec in lines, the commands counted.
func outline(s buildspec.Spec) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version %s, run-as %q\nenv %+v\n", s.Version, s.RunAs, s.Env)
	for _, p := range s.Phases {
		fmt.Fprintf(&b, "%s: %d commands, %d finally, run-as %q, on-failure %+v, runtimes %v\n", p.Name, len(p.Commands), len(p.Finally), p.RunAs, p.OnFailure, p.Runtimes)
	}
	for _, a := range append([]buildspec.Artifacts{s.Artifacts}, s.Secondary...) {
		fmt.Fprintf(&b, "artifact %+v\n", a)
	}
	for _, r := range s.Reports {
		fmt.Fprintf(&b, "report %+v\n", r)
	}
	fmt.Fprintf(&b, "cache %+v\n", s.Cache)
	if s.Batch != nil {
		fmt.Fprintf(&b, "batch, fast-fail %v\n", s.Batch.FastFail)
		for _, t := range s.Batch.Expand() {
			fmt.Fprintf(&b, "  %+v\n", t)
		}
	}
	for _, w := range s.Warnings {
		fmt.Fprintf(&b, "warning %d:%d: %s\n", w.Line, w.Column, w.Message)
	}
	return b.String()
}
