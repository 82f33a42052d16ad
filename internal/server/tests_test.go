package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/engine/enginetest"
	"github.com/towline/towline/internal/pipeline"
)

// TestTestsAreShownOverTime records runs as builds do: one test is mended in the
// second execution, one fails, and the coverage grows.
func TestTestsAreShownOverTime(t *testing.T) {
	t.Parallel()
	b := setup(t, succeed)
	id := enginetest.Begin(t, b.engine, enginetest.Stages([]string{"a"})).ID
	e, err := b.api.Execution(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 2, 10, 15, 30, 0, time.UTC)
	run := func(attempt int, covered int, mended, broken pipeline.TestStatus) pipeline.TestRun {
		return pipeline.TestRun{
			Pipeline: e.Pipeline, Execution: id, Stage: "S1", Attempt: attempt, Action: "a", Branch: "main", Commit: "c1",
			At:     at.Add(time.Duration(attempt) * time.Minute),
			Totals: pipeline.TestReport{Passed: 1, Failed: 1, Coverage: &pipeline.Coverage{Lines: 10, LinesCovered: covered}},
			Reports: []pipeline.Report{{Name: "unit", Cases: []pipeline.TestCase{
				{Suite: "s", Name: "mended", Status: mended, Message: "no"}, {Suite: "s", Name: "broken", Status: broken, Message: "wrong"},
			}}},
		}
	}
	first, second := run(1, 5, pipeline.TestFailing, pipeline.TestPassed), run(2, 6, pipeline.TestPassed, pipeline.TestFailing)
	second.Commit = "c2"
	if err := errors.Join(b.engine.Store.Record(t.Context(), first), b.engine.Store.Record(t.Context(), second)); err != nil {
		t.Fatal(err)
	}
	got, err := b.api.Tests(t.Context(), e.Pipeline, 20)
	if err != nil {
		t.Fatal(err)
	}
	short := func(r pipeline.TestRun) pipeline.TestRun {
		r.Reports = nil
		return r
	}
	want := []client.TestedAction{{
		Stage: "S1", Action: "a", Runs: []pipeline.TestRun{short(second), short(first)},
		Tests: []pipeline.TestHistory{{Suite: "s", Name: "broken", Status: pipeline.TestFailing, Runs: 2, Failed: 1, Since: id, Message: "wrong", LastFailed: id}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
	whole, err := b.api.TestsOf(t.Context(), id)
	if diff := cmp.Diff([]pipeline.TestRun{first, second}, whole); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	for name, call := range map[string]func() error{
		"a pipeline":   func() error { _, err := b.api.Tests(t.Context(), "nobody", 20); return err },
		"an execution": func() error { _, err := b.api.TestsOf(t.Context(), "nobody-1"); return err },
	} {
		if answer, ok := errors.AsType[*client.Error](call()); !ok || answer.Status != http.StatusNotFound {
			t.Errorf("%s that there is not: %v", name, answer)
		}
	}
}

func TestALogIsSearchedWhereItIs(t *testing.T) {
	t.Parallel()
	b := setup(t, func(_ context.Context, job pipeline.Job) (pipeline.Result, error) {
		fmt.Fprint(job.Log, "one\nConnection REFUSED by db\ntwo\nconnection refused again\n")
		return pipeline.Result{Outcome: pipeline.Succeeded}, nil
	})
	id := enginetest.Begin(t, b.engine, enginetest.Stages([]string{"a"})).ID
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.api.Watch(ctx, id, func(client.Execution) error { return nil }); err != nil {
		t.Fatal(err)
	}
	ref := client.ActionRef{Execution: id, Stage: "S1", Attempt: 1, Action: "a"}
	for text, want := range map[string][]string{
		"refused":       {"Connection REFUSED by db", "connection refused again"},
		"refused by db": {"Connection REFUSED by db"},
		"100% & more":   nil,
	} {
		log, err := b.api.Grep(ctx, ref, text)
		if err != nil {
			t.Fatal(err)
		}
		found, err := io.ReadAll(log)
		if err := errors.Join(err, log.Close()); err != nil {
			t.Fatal(err)
		}
		var lines []string
		for line := range strings.Lines(string(found)) {
			_, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ") // behind the time
			lines = append(lines, text)
		}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("%q (-want +got)\n%s", text, diff)
		}
	}
	url := fmt.Sprintf("%s/api/v1/executions/%s/stages/S1/1/actions/a/log?grep=one&offset=4", b.url, id)
	if got := status(t, http.MethodGet, url, tokens.Admin); got != http.StatusUnprocessableEntity {
		t.Errorf("a search from an offset on is answered with %d", got)
	}
}
