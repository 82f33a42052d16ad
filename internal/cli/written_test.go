package cli

import (
	"errors"
	"strings"
	"testing"
)

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestAResultThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"version"}, {"version", "-o", "json"}, {"reference"}} {
		var talk strings.Builder
		code := Main(t.Context(), Invocation{Args: args, In: strings.NewReader(""), Out: full{}, Err: &talk, Version: "test"})
		if code != exitError || !strings.Contains(talk.String(), "no space left on device") {
			t.Errorf("%v: exit code %d, %q", args, code, talk.String())
		}
	}
}
