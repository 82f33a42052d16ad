package server_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/engine/enginetest"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

// statusOf is the HTTP status of an error of the API, or 200.
func statusOf(err error) int {
	if answer, ok := errors.AsType[*client.Error](err); ok {
		return answer.Status
	}
	return http.StatusOK
}

// TestPeopleSteerExecutions leads executions through an approval, a rejection,
// a retry, a closed transition, a stop and a rollback.
func TestPeopleSteerExecutions(t *testing.T) {
	t.Parallel()
	b := setup(t, succeed)
	ctx := t.Context()
	p := enginetest.Stages([]string{"build"}, []string{"go-ahead"}, []string{"deploy"})
	p.Stages[1].Actions[0].Type = pipeline.ActionType{Category: pipeline.CategoryApproval, Provider: "Manual"}
	until := func(id string, ok func(client.Execution) bool) client.Execution {
		t.Helper()
		var e client.Execution
		waittest.Until(t, id+" is as it should be", func() (done bool) {
			var err error
			if e, err = b.api.Execution(ctx, id); err != nil {
				t.Fatal(err)
			}
			return ok(e)
		})
		return e
	}
	decide := func(id string, approve bool) error {
		t.Helper()
		e := until(id, func(e client.Execution) bool { return e.Stages[1].Actions[0].Status == pipeline.StatusInProgress })
		_, err := b.api.Decide(ctx, id, client.Decision{
			Stage: "S2", Action: "go-ahead", Approve: approve, By: "ann", Token: pipeline.ApprovalToken(id, "S2", e.Stages[1].Actions[0].Attempt, "go-ahead"),
		})
		return err
	}
	first := enginetest.Begin(t, b.engine, p).ID
	if err := decide(first, false); err != nil {
		t.Fatal(err)
	}
	e := until(first, func(e client.Execution) bool { return e.Status == pipeline.ExecutionFailed })
	if got := e.Stages[1].Actions[0].Result.Summary; got != "rejected by ann" {
		t.Errorf("summary %q", got)
	}
	_, err := b.api.Decide(ctx, first, client.Decision{Stage: "S2", Action: "go-ahead", Token: "x"})
	if got := statusOf(err); got != http.StatusConflict {
		t.Errorf("a decision by a wrong token is answered with %d", got)
	}
	if _, err := b.api.Retry(ctx, first, client.RetryRequest{Stage: "S2"}); err != nil {
		t.Fatal(err)
	}
	if err := decide(first, true); err != nil {
		t.Fatal(err)
	}
	until(first, func(e client.Execution) bool { return e.Status == pipeline.ExecutionSucceeded })

	state, err := b.api.SetTransition(ctx, "web", "S3", pipeline.Inbound, client.TransitionRequest{Disabled: true, Reason: "freeze", By: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	want := []pipeline.Transition{{Stage: "S3", Type: pipeline.Inbound, Reason: "freeze", By: "ann"}}
	if diff := cmp.Diff(want, state.Stages[2].Closed, cmpopts.IgnoreFields(pipeline.Transition{}, "At")); diff != "" || state.Stages[2].Latest != first {
		t.Errorf("closed (-want +got):\n%s%+v", diff, state)
	}
	second := enginetest.Begin(t, b.engine, p).ID
	if err := decide(second, true); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, second+" waits for the transition", func() bool {
		state, err = b.api.State(ctx, "web")
		return err == nil && cmp.Equal(state.Stages[2].Waiting, []string{second})
	})
	e = until(second, func(e client.Execution) bool { return e.Hold != nil && e.Hold.Kind == pipeline.HoldTransition })
	wantHolds := []client.Held{{Execution: second, Hold: *e.Hold}}
	if diff := cmp.Diff(wantHolds, state.Holds); diff != "" || e.Hold.Sentence != "The way into stage S3 is closed by ann: freeze" {
		t.Errorf("holds (-want +got):\n%s%+v", diff, e.Hold)
	}
	if e, err := b.api.Stop(ctx, second, client.StopRequest{Reason: "enough"}); err != nil || e.Status != pipeline.ExecutionStopped {
		t.Errorf("stopped: %s, %v", e.Status, err)
	}
	if _, err := b.api.SetTransition(ctx, "web", "S3", pipeline.Inbound, client.TransitionRequest{}); err != nil {
		t.Fatal(err)
	}
	back, err := b.api.RollBack(ctx, "web", "S3", client.RollbackRequest{Target: first})
	if err != nil || back.Target != first || back.Type != pipeline.ExecutionRollback {
		t.Fatalf("%+v, %v", back, err)
	}
	until(back.ID, func(e client.Execution) bool { return e.Status == pipeline.ExecutionSucceeded })

	for what, c := range map[string]struct {
		do   func(context.Context) error
		want int
	}{
		"stopping what has ended": {func(ctx context.Context) error { _, err := b.api.Stop(ctx, first, client.StopRequest{}); return err }, http.StatusConflict},
		"retrying what has succeeded": {func(ctx context.Context) error {
			_, err := b.api.Retry(ctx, first, client.RetryRequest{Stage: "S2"})
			return err
		}, http.StatusConflict},
		"retrying a stage that there is not": {func(ctx context.Context) error {
			_, err := b.api.Retry(ctx, first, client.RetryRequest{Stage: "S9"})
			return err
		}, http.StatusNotFound},
		"retrying in a mode that there is not": {func(ctx context.Context) error {
			_, err := b.api.Retry(ctx, first, client.RetryRequest{Stage: "S2", Mode: "SOME"})
			return err
		}, http.StatusUnprocessableEntity},
		"overriding what was not asked": {func(ctx context.Context) error {
			_, err := b.api.Override(ctx, first, client.OverrideRequest{Stage: "S2", Kind: pipeline.BeforeEntry})
			return err
		}, http.StatusConflict},
		"rolling the first stage back": {func(ctx context.Context) error {
			_, err := b.api.RollBack(ctx, "web", "S1", client.RollbackRequest{})
			return err
		}, http.StatusConflict},
		"closing a transition that there is not": {func(ctx context.Context) error {
			_, err := b.api.SetTransition(ctx, "web", "S9", pipeline.Inbound, client.TransitionRequest{})
			return err
		}, http.StatusNotFound},
		"the state of a pipeline that is not": {func(ctx context.Context) error { _, err := b.api.State(ctx, "nope"); return err }, http.StatusNotFound},
		"stopping what there is not":          {func(ctx context.Context) error { _, err := b.api.Stop(ctx, "web-99", client.StopRequest{}); return err }, http.StatusNotFound},
	} {
		if got := statusOf(c.do(ctx)); got != c.want {
			t.Errorf("%s is answered with %d, want %d", what, got, c.want)
		}
	}
}
