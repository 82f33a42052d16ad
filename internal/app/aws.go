package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/towline/towline/internal/awsapi"
	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/codepipeline"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/store"
)

// awsHandler is what answers AWS's clients.
func (a *App) awsHandler() (*awsapi.Handler, error) {
	key, err := awsPageKey(a.tokens.Admin)
	if err != nil {
		return nil, err
	}
	builds, err := a.awsBuilds(key)
	if err != nil {
		return nil, err
	}
	return awsapi.New(awsapi.Config{
		Keys: a.signers(), Definitions: awsDefinitions{store: a.store, now: time.Now}, Tags: a.store,
		Records: a.store, Starts: awsStarts{a}, Decisions: a.engine,
		Jobs: a.store, Workers: a.engine, Handover: a.handover(), CustomTypes: a.store, Secret: secretMembers(a.store), Types: a.types,
		Webhooks: awsWebhooks{store: a.store, keys: a.accessKeys.keys},
		WebhookURL: func(path string) string {
			return strings.TrimSuffix(cmp.Or(a.options.Server.URL, a.URL()), "/") + "/hooks/aws/" + path
		},
		Others: builds, Account: awsAccount, PageKey: key, Now: time.Now, Logger: a.options.Logger,
	})
}

// types are those of the actions and rules that this server carries out itself.
func (a *App) types() (found []pipeline.ActionType) {
	for k := range a.actions() {
		found = append(found, pipeline.ActionType{Category: k.category, Owner: "Towline", Provider: k.provider, Version: "1"})
	}
	return append(found, pipeline.ActionType{Category: pipeline.CategoryApproval, Owner: "AWS", Provider: "Manual", Version: "1"})
}

// awsDefinitions are the pipelines in AWS's form.
type awsDefinitions struct {
	store *store.DB
	now   func() time.Time
}

var _ awsapi.Definitions = awsDefinitions{}

func summaryOf(d store.Definition) awsapi.Summary {
	s := awsapi.Summary{
		Name: d.Pipeline.Name, Version: d.Pipeline.Version, Type: "V2", ExecutionMode: string(d.Pipeline.Mode), Created: d.Created, Updated: d.Updated,
	}
	if s.ExecutionMode == "" {
		s.ExecutionMode = string(pipeline.ModeSuperseded)
	}
	return s
}

// shown is a definition without the secrets of its actions.
func (d awsDefinitions) shown(found store.Definition) (awsapi.Definition, error) {
	declaration, err := codepipeline.Declaration(found.Pipeline.Mask(secretMembers(d.store)))
	return awsapi.Definition{Summary: summaryOf(found), Declaration: declaration}, err
}

// List returns pipelines by name.
func (d awsDefinitions) List(ctx context.Context, after string, limit int) ([]awsapi.Summary, error) {
	all, err := d.store.Pipelines(ctx)
	if err != nil {
		return nil, err
	}
	var found []awsapi.Summary
	for _, p := range all {
		if p.Pipeline.Name > after && len(found) < limit {
			found = append(found, summaryOf(p))
		}
	}
	return found, nil
}

// Get returns one version of a pipeline, or with 0 the newest.
func (d awsDefinitions) Get(ctx context.Context, name string, version int) (awsapi.Definition, error) {
	found, err := d.store.Pipeline(ctx, name)
	if err == nil && version > 0 {
		found, err = d.store.PipelineVersion(ctx, name, version)
		if errors.Is(err, store.ErrNotFound) {
			err = wire.Faultf("PipelineVersionNotFoundException", "The pipeline '%s' has no version %d.", name, version)
		}
	}
	if err != nil {
		return awsapi.Definition{}, err
	}
	return d.shown(found)
}

// Create defines a pipeline whose name is free.
func (d awsDefinitions) Create(ctx context.Context, declaration json.RawMessage) (awsapi.Definition, error) {
	return d.put(ctx, declaration, func(p pipeline.Pipeline, _ store.Definition, there bool) error {
		if there {
			return wire.Faultf("PipelineNameInUseException", "A pipeline with the name '%s' already exists in account '%s'", p.Name, awsAccount)
		}
		return nil
	})
}

// Update gives a pipeline that was defined through the API another definition.
func (d awsDefinitions) Update(ctx context.Context, declaration json.RawMessage) (awsapi.Definition, error) {
	return d.put(ctx, declaration, func(p pipeline.Pipeline, old store.Definition, there bool) error {
		switch {
		case !there:
			return fmt.Errorf("pipeline %s: %w", p.Name, store.ErrNotFound)
		case old.Repository != "":
			return wire.Faultf("InvalidStructureException", "The pipeline '%s' is defined by the file towline.yaml of the repository '%s': change it there.", p.Name, old.Repository)
		}
		return nil
	})
}

// put checks a declaration and keeps it, if may says so of what is there.
func (d awsDefinitions) put(ctx context.Context, declaration json.RawMessage, may func(p pipeline.Pipeline, old store.Definition, there bool) error) (awsapi.Definition, error) {
	p, err := codepipeline.Read(declaration)
	if err != nil {
		return awsapi.Definition{}, err
	}
	if problems := p.Check(); len(problems) > 0 {
		return awsapi.Definition{}, problems
	}
	var kept store.Definition
	err = d.store.Update(ctx, func(q store.Querier) error {
		old, err := store.GetPipeline(ctx, q, p.Name)
		there := err == nil
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err := may(p, old, there); err != nil {
			return err
		}
		p := p.Unmask(old.Pipeline, secretMembers(d.store))
		if err := store.PutPipeline(ctx, q, p, "", d.now()); err != nil {
			return err
		}
		kept, err = store.GetPipeline(ctx, q, p.Name)
		return err
	})
	if err != nil {
		return awsapi.Definition{}, err
	}
	return d.shown(kept)
}

// Delete takes a pipeline away once nothing of it runs.
func (d awsDefinitions) Delete(ctx context.Context, name string) error {
	return d.store.Update(ctx, func(q store.Querier) error {
		there, err := store.GetPipeline(ctx, q, name)
		if err != nil {
			return err
		}
		if there.Repository != "" {
			return wire.Faultf("ValidationException", "The pipeline '%s' is defined by the file towline.yaml of the repository '%s', and would come again with the next push.", name, there.Repository)
		}
		state, err := store.State(ctx, q, name)
		if err != nil {
			return err
		}
		if len(state.Executions) > 0 {
			return wire.Faultf("ConcurrentModificationException", "The execution '%s' has not ended: stop it before you delete the pipeline '%s'.", state.Executions[0].ID, name)
		}
		return store.DeletePipeline(ctx, q, name, d.now())
	})
}
