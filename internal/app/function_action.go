package app

import (
	"context"
	"errors"
	"time"

	"github.com/towline/towline/internal/awsapi/access"
	"github.com/towline/towline/internal/function"
	"github.com/towline/towline/internal/pipeline"
)

// invoke gives jobs to functions.
func (a *App) invoke() *function.Action {
	return &function.Action{
		Functions: a.functions, Runner: a.functions.runner, Jobs: a.store, Access: functionAccess{a.handover()},
		LogFile: a.functions.LogFile, Account: awsAccount, Now: time.Now,
	}
}

// functionAccess is what a function that works on a job may reach.
type functionAccess struct{ access.Handover }

var _ function.Access = functionAccess{}

func workOf(g function.Grant) access.Work {
	return access.Work{Job: g.Job, Pipeline: g.Pipeline, Inputs: g.Inputs, Outputs: g.Outputs}
}

// Grant makes credentials for a job, and says where its artifacts lie.
func (f functionAccess) Grant(ctx context.Context, g function.Grant) (function.Granted, error) {
	given, err := f.Give(ctx, workOf(g), g.Lasting)
	if err != nil {
		return function.Granted{}, err
	}
	keys := given.Credentials
	granted := function.Granted{
		Credentials: function.Credentials{AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.SecretAccessKey, SessionToken: keys.SessionToken},
		Places:      map[string]function.Location{},
	}
	for i, place := range given.Inputs {
		granted.Places[g.Inputs[i].Name] = function.Location{Bucket: place.Bucket, Key: place.Key}
	}
	for i, place := range given.Outputs {
		granted.Places[g.Outputs[i]] = function.Location{Bucket: place.Bucket, Key: place.Key}
	}
	return granted, nil
}

// Made takes what a function has put.
func (f functionAccess) Made(ctx context.Context, g function.Grant) ([]pipeline.Artifact, error) {
	made, err := f.Take(ctx, workOf(g))
	if bad, ok := errors.AsType[*access.BadArchive](err); ok {
		err = &function.OutputError{Artifact: bad.Artifact, Reason: bad.Reason}
	}
	return made, err
}

// Revoke ends the credentials of a job.
func (f functionAccess) Revoke(ctx context.Context, g function.Grant) error {
	return f.End(ctx, workOf(g))
}
