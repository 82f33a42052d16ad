package app

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/engine"
	"github.com/towline/towline/internal/notify"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

func TestAServerTellsOfAnExecutionFromItsStartToItsEnd(t *testing.T) {
	t.Parallel()
	a, _ := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel) // before the app is stopped
	come := make(chan notify.Event, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var event notify.Event
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
			t.Errorf("read event: %v", err)
		}
		come <- event
	}))
	defer receiver.Close()
	if _, err := a.notifier.Add(ctx, notify.Subscription{Name: "ops", Kind: notify.Webhook, Target: notify.Target{URL: receiver.URL}}); err != nil {
		t.Fatal(err)
	}
	if err := a.Start(ctx); err != nil {
		t.Fatal(err)
	}
	p := pipeline.Pipeline{Name: "shop", Stages: []pipeline.Stage{{Name: "Release", Actions: []pipeline.Action{
		{Name: "go-ahead", RunOrder: 1, Type: pipeline.ActionType{Category: pipeline.CategoryApproval, Owner: "AWS", Provider: "Manual", Version: "1"}},
	}}}}
	execution, err := a.engine.StartExecution(ctx, engine.StartRequest{
		Pipeline: "shop", Trigger: pipeline.Trigger{Type: pipeline.TriggerManual},
		Also: func(ctx context.Context, q store.Querier) error {
			return store.PutPipeline(ctx, q, p, "web", time.Now())
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	told := func(n int) (lines []string) {
		t.Helper()
		deadline := time.After(time.Minute)
		for range n {
			select {
			case event := <-come:
				detail, _ := event.Detail.(map[string]any)
				kind := strings.TrimSuffix(strings.TrimPrefix(event.DetailType, "CodePipeline "), " Execution State Change")
				state, _ := detail["state"].(string)
				lines = append(lines, kind+" "+state)
				if event.Resources[0] != "arn:aws:codepipeline:local:000000000000:shop" || detail["execution-id"] != "shop-1" {
					t.Errorf("event %+v", event)
				}
			case <-deadline:
				t.Fatalf("%d events came, want %d: %v", len(lines), n, lines)
			}
		}
		return lines
	}
	if diff := cmp.Diff([]string{"Pipeline STARTED", "Stage STARTED", "Action STARTED"}, told(3)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	err = a.engine.Approve(ctx, pipeline.Approved{
		Execution: execution.ID, Stage: "Release", Action: "go-ahead", Yes: true, By: "ann",
		Token: pipeline.ApprovalToken(execution.ID, "Release", 1, "go-ahead"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Action SUCCEEDED", "Stage SUCCEEDED", "Pipeline SUCCEEDED"}, told(3)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	t.Run("it goes on when the keys have been changed", func(t *testing.T) {
		before, err := a.store.Notification(ctx, "ops")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.sealed().Rekey(ctx); err != nil {
			t.Fatal(err)
		}
		after, err := a.store.Notification(ctx, "ops")
		if err != nil || string(before.Sealed) == string(after.Sealed) {
			t.Errorf("sealed as before, %v", err)
		}
		if problem, err := a.notifier.Test(ctx, "ops"); problem != nil || err != nil {
			t.Error(problem, err)
		}
	})
}
