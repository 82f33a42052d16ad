package buildtest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func (s suite) environment(t *testing.T) {
	t.Parallel()
	b := New(t,
		`test -z "$(ls -A "$HOME")" && test -w "$HOME" && echo home`,
		`test -w "$TMPDIR" && touch "$TMPDIR/x" && echo temp`,
		`test "$PWD" = "$CODEBUILD_SRC_DIR" && touch here && echo source`,
		`env | grep -c TOWLINE_TEST_SECRET`,
		`echo "$A $B $C $CI"`,
		`test -n "$GOCACHE" && mkdir -p "$GOCACHE" && echo cache`,
		`ulimit -c`,
	)
	b.Phases[0].Commands[3] += " || true"
	b.Env = map[string]string{"A": "a b", "B": "from the spec", "C": "from the spec", "CI": "true"}
	b.Override = map[string]string{"C": "from the action"}
	s.run(t, b)
	want := []string{"home", "temp", "source", "0", "a b from the spec from the action true", "cache", "0"}
	if diff := cmp.Diff(want, printed(t, b)); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}
