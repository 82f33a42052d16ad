package reports

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/towline/towline/internal/project"
)

func TestTheGroupOfAReport(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"unit": "web-unit",
		"arn:aws:codebuild:eu-west-1:000000000000:report-group/all": "all",
		"report-group/all":            "web-report-group/all",
		strings.Repeat("x", 200):      "web-" + strings.Repeat("x", 124),
		strings.Repeat("\u00e4", 200): "web-" + strings.Repeat("\u00e4", 124),
	} {
		got := group(project.Build{Project: "web"}, name)
		if got != want || !utf8.ValidString(got) {
			t.Errorf("%.80q is in %q, want %q", name, got, want)
		}
	}
}
