package server_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/engine/enginetest"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

func TestTheOverviewTellsWhoWaits(t *testing.T) {
	t.Parallel()
	b := setup(t, succeed)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	changes := make(chan client.OverviewChange, 100)
	ended := make(chan error, 1)
	go func() {
		ended <- b.api.WatchOverview(ctx, func(c client.OverviewChange) error {
			changes <- c
			return nil
		})
	}()
	if first := <-changes; len(first.Pipelines) != 0 {
		t.Errorf("it begins with %v", first)
	}
	p := enginetest.Stages([]string{"build"}, []string{"go-ahead"})
	p.Stages[1].Actions[0].Type = pipeline.ActionType{Category: pipeline.CategoryApproval, Provider: "Manual"}
	id := enginetest.Begin(t, b.engine, p).ID
	if c := <-changes; !slices.Equal(c.Pipelines, []string{"web"}) {
		t.Errorf("changed %v", c)
	}
	var o client.Overview
	waittest.Until(t, "the execution waits", func() bool {
		var err error
		if o, err = b.api.Overview(ctx, client.OverviewRequest{}); err != nil {
			t.Fatal(err)
		}
		return o.Waiting == 1
	})
	row := o.Rows[0]
	if len(o.Rows) != 1 || o.Next != "" || row.Name != "web" || row.Unfinished != 1 || len(row.Holds) != 1 || row.Holds[0].Hold.Kind != pipeline.HoldApproval || row.Last.ID != id {
		t.Errorf("%+v", o)
	}
	var statuses []pipeline.Status
	for _, s := range row.Last.Stages {
		statuses = append(statuses, s.Status)
		if s.Started.IsZero() || s.Ended.IsZero() != (s.Status == pipeline.StatusInProgress) {
			t.Errorf("its time: %+v", s)
		}
	}
	if diff := cmp.Diff([]pipeline.Status{pipeline.StatusSucceeded, pipeline.StatusInProgress}, statuses); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	if _, err := b.api.Overview(ctx, client.OverviewRequest{After: "nowhere"}); statusOf(err) != http.StatusUnprocessableEntity {
		t.Errorf("a place that is none: %v", err)
	}
	if o, err := b.api.Overview(ctx, client.OverviewRequest{Query: "api"}); err != nil || len(o.Rows) != 0 || o.Pipelines != 0 {
		t.Errorf("%+v, %v", o, err)
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended with %v", err)
	}
}
