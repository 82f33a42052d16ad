package build

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/buildspec"
	"github.com/towline/towline/internal/pipeline"
)

// tasksOf makes tasks of words: "b<a,c" depends on a and c, "b?" may fail.
func tasksOf(text string) []buildspec.Task {
	var all []buildspec.Task
	for word := range strings.FieldsSeq(text) {
		id, on, _ := strings.Cut(word, "<")
		t := buildspec.Task{DependOn: strings.FieldsFunc(on, func(r rune) bool { return r == ',' })}
		t.Identifier, t.IgnoreFailure = strings.CutSuffix(id, "?")
		all = append(all, t)
	}
	return all
}

// TestBatchRunsEachBuildWhenItMay runs batches in which the builds that are
// named fail.
func TestBatchRunsEachBuildWhenItMay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tasks, fail string
		fastFail    bool
		want        string // what ran, in an order in which each comes after its own
		outcome     pipeline.Outcome
	}{
		"a list":                        {"a b c", "", false, "a b c", pipeline.Succeeded},
		"a graph":                       {"c<b b<a a", "", false, "a b c", pipeline.Succeeded},
		"a diamond":                     {"a b<a c<a d<b,c", "", false, "a b c d", pipeline.Succeeded},
		"nothing after what has failed": {"a b<a c<b d", "a", false, "a d", pipeline.Failed},
		"what follows an ignored one":   {"a? b<a", "a", false, "a b", pipeline.Succeeded},
		"all others without fast-fail":  {"a b c", "a", false, "a b c", pipeline.Failed},
		"nothing more with fast-fail":   {"a b c", "a", true, "a", pipeline.Failed},
		"more when it is ignored":       {"a? b c", "a", true, "a b c", pipeline.Succeeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ran []string
			w := walk{tasks: tasksOf(c.tasks), most: 1, fastFail: c.fastFail}
			results, err := w.run(t.Context(), func(_ context.Context, i int, before []pipeline.Artifact) (pipeline.Result, error) {
				task := w.tasks[i]
				ran = append(ran, task.Identifier)
				for n, on := range task.DependOn {
					if len(before) > n && before[n].Name != on {
						t.Errorf("%s gets %v", task.Identifier, before)
					}
				}
				if slices.Contains(strings.Fields(c.fail), task.Identifier) {
					return pipeline.Fail("no"), nil
				}
				return pipeline.Result{Outcome: pipeline.Succeeded, Artifacts: []pipeline.Artifact{{Name: task.Identifier}}}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, strings.Join(ran, " ")); diff != "" {
				t.Error("(-want +got)\n", diff)
			}
			if got := summarize(w.tasks, results); got.Outcome != c.outcome {
				t.Errorf("the batch has %s: %s", got.Outcome, got.Message)
			}
		})
	}
}

func TestBatchRunsSoManyAtOnce(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now, most := 0, 0
	full := make(chan struct{})
	var told []string
	w := walk{tasks: tasksOf("a b c d e f g"), most: 3, progress: func(line string) { told = append(told, line) }}
	_, err := w.run(t.Context(), func(context.Context, int, []pipeline.Artifact) (pipeline.Result, error) {
		mu.Lock()
		if now++; now > most {
			most = now
		}
		if now == 3 && most == 3 {
			select {
			case <-full:
			default:
				close(full)
			}
		}
		mu.Unlock()
		<-full // three are here at once, or the test does not end
		mu.Lock()
		now--
		mu.Unlock()
		return pipeline.Result{Outcome: pipeline.Succeeded}, nil
	})
	if err != nil || most != 3 {
		t.Errorf("%d ran at once: %v", most, err)
	}
	if len(told) != 7 || told[6] != "7 of 7 builds have ended" {
		t.Errorf("progress is told as %q", told)
	}
}

func TestBatchEndsTheOthersWhenOneFails(t *testing.T) {
	t.Parallel()
	began := make(chan struct{})
	w := walk{tasks: tasksOf("a b c"), most: 2, fastFail: true}
	results, err := w.run(t.Context(), func(ctx context.Context, i int, _ []pipeline.Artifact) (pipeline.Result, error) {
		if i == 0 {
			<-began
			return pipeline.Fail("no"), nil
		}
		close(began)
		<-ctx.Done()
		return pipeline.Result{}, fmt.Errorf("stop: %w", context.Cause(ctx))
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "3 of 3 builds of the batch failed:\na: no\nb: stopped, since another build of the batch has failed\nc: did not run, since another build of the batch has failed"
	if diff := cmp.Diff(want, summarize(w.tasks, results).Message); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}

func TestBatchFaultsWithItsBuilds(t *testing.T) {
	t.Parallel()
	lost := errors.New("the node is lost")
	began := make(chan struct{})
	w := walk{tasks: tasksOf("a b"), most: 2}
	_, err := w.run(t.Context(), func(ctx context.Context, i int, _ []pipeline.Artifact) (pipeline.Result, error) {
		if i == 0 {
			<-began
			return pipeline.Result{}, lost
		}
		close(began)
		<-ctx.Done()
		return pipeline.Result{}, context.Cause(ctx)
	})
	if !errors.Is(err, lost) {
		t.Errorf("got %v", err)
	}
}

func TestBatchLeavesItsBuildsWhenTheServerGoes(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	w := walk{tasks: tasksOf("a b<a"), most: 2}
	_, err := w.run(ctx, func(ctx context.Context, _ int, _ []pipeline.Artifact) (pipeline.Result, error) {
		cancel(pipeline.ErrShutdown)
		<-ctx.Done()
		return pipeline.Result{}, context.Cause(ctx)
	})
	if !errors.Is(err, pipeline.ErrShutdown) {
		t.Errorf("got %v", err)
	}
}

// TestBatchEndsWhatHasBegunBefore has a server die while two builds run, of
// which one depends on another; the batch is stopped before it is taken up.
func TestBatchEndsWhatHasBegunBefore(t *testing.T) {
	t.Parallel()
	stop := errors.New("somebody stopped it")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	var mu sync.Mutex
	var ran []string
	w := walk{tasks: tasksOf("a b c<a d"), most: 1, begun: func(i int) bool { return i == 1 || i == 2 }}
	_, err := w.run(ctx, func(ctx context.Context, i int, _ []pipeline.Artifact) (pipeline.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		ran = append(ran, w.tasks[i].Identifier)
		return pipeline.Result{}, context.Cause(ctx)
	})
	if diff := cmp.Diff([]string{"b", "c"}, ran); diff != "" || !errors.Is(err, stop) {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
