package kube

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestEachLine(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3*maxLogLine)
	cases := []struct {
		name, text string
		want       []string
	}{
		{"whole lines", "a\nb\n", []string{"a", "b"}},
		{"a line without its end", "a\nb", []string{"a", "b"}},
		{"an empty line in between", "a\n\nb\n", []string{"a", "", "b"}},
		{"a carriage return belongs to the end", "a\r\nb\r\n", []string{"a", "b"}},
		{"a long line is cut, and the next one is whole", long + "\nb\n", []string{long[:maxLogLine], "b"}},
		{"nothing", "", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			if err := eachLine(iotest.HalfReader(strings.NewReader(c.text)), func(s string) { got = append(got, s) }); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("a broken stream is an error", func(t *testing.T) {
		t.Parallel()
		broken := errors.New("cut off")
		if err := eachLine(iotest.ErrReader(broken), func(string) {}); !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
	})
}
