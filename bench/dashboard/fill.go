package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// fill makes the database of a server that has worked for a while: each
// pipeline has six stages, and one in twenty has failed in its last execution.
func fill(ctx context.Context, data string, s settings) (err error) {
	if err := os.MkdirAll(data, 0o711); err != nil {
		return err
	}
	db, err := store.Open(ctx, data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for i := range s.pipelines {
		p := definition(fmt.Sprintf("service-%04d", i))
		err := db.Update(ctx, func(q store.Querier) error {
			if err := store.PutPipeline(ctx, q, p, p.Name, time.Now()); err != nil {
				return err
			}
			for n := range s.executions {
				if err := execute(ctx, q, p, i%20 == 0 && n == s.executions-1); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func definition(name string) pipeline.Pipeline {
	p := pipeline.Pipeline{Name: name}
	for _, stage := range []struct {
		name     string
		category pipeline.Category
		provider string
	}{
		{"Source", pipeline.CategorySource, "Git"}, {"Test", pipeline.CategoryBuild, "Buildspec"}, {"Package", pipeline.CategoryBuild, "Buildspec"},
		{"Image", pipeline.CategoryBuild, "Image"}, {"Staging", pipeline.CategoryDeploy, "Kubernetes"}, {"Production", pipeline.CategoryDeploy, "Kubernetes"},
	} {
		p.Stages = append(p.Stages, pipeline.Stage{Name: stage.name, Actions: []pipeline.Action{{
			Name: "work", RunOrder: 1, Type: pipeline.ActionType{Category: stage.category, Owner: "Towline", Provider: stage.provider, Version: "1"},
		}}})
	}
	return p
}

// execute records an execution of an hour ago that has ended.
func execute(ctx context.Context, q store.Querier, p pipeline.Pipeline, fails bool) error {
	number, err := store.NextNumber(ctx, q, p.Name)
	if err != nil {
		return err
	}
	at := time.Now().Add(-time.Hour)
	e := pipeline.Execution{
		ID: fmt.Sprintf("%s-%d", p.Name, number), Pipeline: p.Name, Number: number, Status: pipeline.ExecutionSucceeded, Definition: p, Started: at, Ended: at.Add(time.Minute),
		Revision: pipeline.Revision{Commit: fmt.Sprintf("%040x", number), Message: "Answer the " + p.Name + " twice as fast", Author: "Grace Hopper"},
		Trigger:  pipeline.Trigger{Type: pipeline.TriggerPush},
	}
	for i, s := range p.Stages {
		status, outcome := pipeline.StatusSucceeded, pipeline.Succeeded
		if fails && i == 1 {
			status, outcome, e.Status = pipeline.StatusFailed, pipeline.Failed, pipeline.ExecutionFailed
		}
		if fails && i > 1 {
			e.Stages = append(e.Stages, pipeline.StageState{Name: s.Name, Status: pipeline.StatusPending})
			continue
		}
		e.Stages = append(e.Stages, pipeline.StageState{Name: s.Name, Status: status, Attempt: 1, Segment: 1, Entered: 1, Actions: []pipeline.ActionState{{
			Name: "work", Type: s.Actions[0].Type, Status: status, Attempt: 1, Started: at, Ended: at.Add(10 * time.Second), Result: &pipeline.Result{Outcome: outcome},
		}}})
		if err := store.SetLatest(ctx, q, p.Name, s.Name, e.ID); err != nil {
			return err
		}
	}
	return store.SaveExecution(ctx, q, e)
}
