package report_test

import (
	"strings"
	"testing"

	"github.com/towline/towline/internal/report"
)

func TestContaining(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, line string
		want       bool
	}{
		{"", "", true},
		{"", "a", true},
		{"refused", "dial tcp: Connection REFUSED", true},
		{"REFUSED", "connection refused", true},
		{"refused", "connection refuse", false},
		{"aab", "aaab", true},
		{"É", "café", true},
		{"ß", "gross", false},
		{"\xff", "a\xffb", true},
		{"b", "\xffb", true},
	} {
		if got := report.Containing(c.text)(c.line); got != c.want {
			t.Errorf("Containing(%q)(%q) = %t", c.text, c.line, got)
		}
	}
}

func FuzzContaining(f *testing.F) {
	f.Add("refused", "dial tcp: Connection REFUSED")
	f.Fuzz(func(t *testing.T, text, line string) {
		got := report.Containing(text)(line)
		if strings.Contains(line, text) && !got {
			t.Errorf("Containing(%q)(%q) = false", text, line)
		}
	})
}
