package build

import (
	"fmt"
	"slices"
	"strings"

	"github.com/towline/towline/internal/pipeline"
)

// mostTests is how many failed tests stand in the message of a build.
const mostTests = 10

// failure is what went wrong with a build, in words; "" when nothing did.
func failure(b Build, ended Ended, tests *pipeline.TestReport) string {
	var text strings.Builder
	phase, failed := ended.Failed()
	switch {
	case ended.TimedOut != "":
		fmt.Fprintf(&text, "the build took longer than %v and was ended in phase %s; make it faster, or give the action a longer timeout", b.Timeout, ended.TimedOut)
	case ended.Exceeded != nil:
		fmt.Fprintf(&text, "the build was ended in phase %s: %s", ended.Exceeded.Phase, ended.Exceeded.Text)
	case failed && phase.Failure.Reason != "":
		fmt.Fprintf(&text, "phase %s failed: %s", phase.Name, phase.Failure.Reason)
	case failed:
		fmt.Fprintf(&text, "phase %s failed: %q ended with exit code %d%s%s", phase.Name, firstLine(phase.Failure.Command), phase.Failure.Exit,
			meaning(phase.Failure.Exit), times(phase.Retries))
	default:
		return ""
	}
	if tests != nil && tests.Failed > 0 {
		fmt.Fprintf(&text, "\n%s failed:", count(tests.Failed, "test"))
		for _, t := range tests.Failures[:min(mostTests, len(tests.Failures))] {
			fmt.Fprintf(&text, "\n  %s %s", t.Suite, t.Name)
			if t.Message != "" {
				fmt.Fprintf(&text, ": %s", strings.ReplaceAll(excerpt(t.Message), "\n", "\n    "))
			}
		}
		if more := tests.Failed - mostTests; more > 0 {
			fmt.Fprintf(&text, "\n  and %d more", more)
		}
	}
	if failed && len(phase.Failure.Tail) > 0 {
		fmt.Fprintf(&text, "\nits last lines:\n  %s", strings.Join(phase.Failure.Tail, "\n  "))
	}
	return text.String()
}

// times says that a phase was run again in vain.
func times(retries int) string {
	if retries == 0 {
		return ""
	}
	return fmt.Sprintf(", as it did before: the phase was run %s", count(retries+1, "time"))
}

// meaning explains the exit codes that shells give by themselves.
func meaning(exit int) string {
	switch exit {
	case 126:
		return " (the program may not be run: chmod +x)"
	case 127:
		return " (the program was not found: install it on the build's machine)"
	case 137:
		return " (killed, perhaps because memory ran out)"
	case 139:
		return " (segmentation fault)"
	case 143:
		return " (terminated)"
	}
	return ""
}

// excerpt is the part of a test's message that says what is wrong: Towline
// keeps more of it in the report.
func excerpt(message string) string {
	const most = 5
	lines := strings.Split(message, "\n")
	return strings.Join(lines[:min(most, len(lines))], "\n")
}

func firstLine(command string) string {
	first, _, more := strings.Cut(strings.TrimSpace(command), "\n")
	if more {
		first += " ..."
	}
	return first
}

// summary is the build in a few words: "42 passed · PostgreSQL 15 · 12.1 MB".
func summary(r pipeline.Result, ended Ended) string {
	var parts []string
	if t := r.Tests; t != nil && t.Tests() > 0 {
		words := []string{fmt.Sprintf("%d passed", t.Passed)}
		if t.Failed > 0 {
			words = append(words, fmt.Sprintf("%d failed", t.Failed))
		}
		if t.Skipped > 0 {
			words = append(words, fmt.Sprintf("%d skipped", t.Skipped))
		}
		parts = append(parts, strings.Join(words, ", "))
	}
	if t := r.Tests; t != nil && t.Coverage != nil {
		parts = append(parts, fmt.Sprintf("%.1f%% covered", t.Coverage.Percent()))
	}
	parts = append(parts, slices.Compact(slices.Sorted(slices.Values(ended.Services)))...)
	for _, a := range r.Artifacts {
		parts = append(parts, megabytes(a.Size))
	}
	return strings.Join(parts, " · ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// megabytes is a size as people read it.
func megabytes(n int64) string {
	switch {
	case n < 1e3:
		return fmt.Sprintf("%d B", n)
	case n < 1e6:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1e9:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}
