package buildtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/report"
)

func (s suite) log(t *testing.T) {
	t.Parallel()
	b := New(t,
		"for i in $(seq 1 50); do echo out $i; echo err $i >&2; done",
		"printf 'half a line'",
		"seq 1 20000",
		"echo last",
	)
	s.run(t, b)
	want := []string{"[build] $ for i in $(seq 1 50); do echo out $i; echo err $i >&2; done"}
	for i := range 50 {
		want = append(want, fmt.Sprintf("out %d", i+1), fmt.Sprintf("err %d", i+1))
	}
	want = append(want, "[build] $ printf 'half a line'", "half a line", "[build] $ seq 1 20000")
	for i := range 20000 {
		want = append(want, fmt.Sprint(i+1))
	}
	want = append(want, "[build] $ echo last", "last")
	got := Lines(t, b)
	for len(got) > 0 && !strings.HasPrefix(got[0], "[") {
		got = got[1:]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}

// waitFor waits until the log of the build has a line.
func waitFor(t *testing.T, b build.Build, line string) {
	t.Helper()
	found := errors.New("found")
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	err := report.Follow(ctx, b.LogFile, 0, func() bool { return false }, func(l report.Line) error {
		if l.Text == line {
			return found
		}
		return nil
	})
	if !errors.Is(err, found) {
		t.Fatalf("line %q did not come: %v\n%s", line, err, strings.Join(Lines(t, b), "\n"))
	}
}
