package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/awsapi/codebuild"
	"github.com/towline/towline/internal/awsapi/logs"
	"github.com/towline/towline/internal/awsapi/wire"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/project"
	"github.com/towline/towline/internal/project/builder"
	"github.com/towline/towline/internal/report"
	"github.com/towline/towline/internal/source"
	"github.com/towline/towline/internal/store"
)

// newBuilder is what keeps the projects and runs their builds. Runner is what
// carries out the builds of one.
func (a *App) newBuilder(runner func(name string) builder.Runner) *builder.Builder {
	return builder.New(builder.Config{
		Store: a.store, Runner: runner,
		Sources: projectSources{repositories: a.repositories, mirrors: a.mirrors, artifacts: a.artifacts, objects: a.objects, own: a.PublicURL},
		Buckets: projectBuckets{store: a.store, artifacts: a.artifacts, here: a.s3, objects: a.objects.Objects},
		Dir:     a.options.Server.Data, Account: awsAccount, Now: time.Now, Logger: a.options.Logger,
		OpenLog: func(path string) (io.WriteCloser, error) { return report.OpenLog(path) },
	})
}

// awsBuilds are the APIs that answer AWS's clients about builds and their logs.
func (a *App) awsBuilds(pages wire.Pages) ([]wire.API, error) {
	builds, err := codebuild.New(codebuild.Config{Projects: a.builder, Builds: a.builder, Batches: a.builder, Groups: a.builder.Reports, Reports: a.builder.Reports, Pages: pages})
	if err != nil {
		return nil, err
	}
	events, err := logs.New(logs.Config{Archive: buildLogs{a.builder}, Pages: pages, Now: time.Now})
	return []wire.API{builds, events}, err
}

// projectSources are where the builds of projects begin.
type projectSources struct {
	repositories *source.Repositories
	mirrors      *mirrors
	artifacts    *artifact.Store
	objects      source.ObjectAction
	own          func() string // this server's URL
}

var _ builder.Sources = projectSources{}

// Fetch stores the files of a source as an artifact.
func (s projectSources) Fetch(ctx context.Context, f builder.Fetch) (builder.Fetched, error) {
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return builder.Fetched{}, fmt.Errorf("make directory of source: %w", err)
	}
	switch f.Source.Type {
	case project.SourceNone:
		return s.nothing(ctx, f)
	case project.SourceS3:
		return s.object(ctx, f)
	}
	return s.repository(ctx, f)
}

// nothing is a source without files.
func (s projectSources) nothing(ctx context.Context, f builder.Fetch) (builder.Fetched, error) {
	empty := filepath.Join(f.Dir, "empty")
	if err := os.MkdirAll(empty, 0o700); err != nil {
		return builder.Fetched{}, fmt.Errorf("make directory of source: %w", err)
	}
	digest, size, err := s.artifacts.Pack(ctx, empty, nil)
	return builder.Fetched{Artifact: pipeline.Artifact{Digest: digest, Size: size}}, err
}

func (s projectSources) object(ctx context.Context, f builder.Fetch) (builder.Fetched, error) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(f.Source.Location, "arn:aws:s3:::"), "/")
	result, err := act(ctx, s.objects, f, pipeline.Revision{}, source.ObjectConfiguration{Bucket: bucket, Key: key, Version: f.Version})
	if err != nil {
		return builder.Fetched{}, err
	}
	return builder.Fetched{Artifact: result.Artifacts[0], Resolved: cmp.Or(result.Variables["VersionId"], result.Variables["ETag"])}, nil
}

func (s projectSources) repository(ctx context.Context, f builder.Fetch) (builder.Fetched, error) {
	name, err := s.find(ctx, f.Source)
	if err != nil {
		return builder.Fetched{}, refusedSource(err)
	}
	revision, err := s.repositories.Revision(ctx, name, f.Version)
	if err != nil {
		return builder.Fetched{}, refusedSource(err)
	}
	result, err := act(ctx, source.Action{Repositories: s.repositories, Artifacts: s.artifacts}, f, revision, pipeline.Source{Repository: name})
	if err != nil {
		return builder.Fetched{}, err
	}
	return builder.Fetched{Artifact: result.Artifacts[0], Resolved: revision.Commit, Revision: revision}, nil
}

// act fetches by what carries out the source actions of pipelines.
func act(ctx context.Context, action builder.Runner, f builder.Fetch, revision pipeline.Revision, configuration any) (pipeline.Result, error) {
	text, err := json.Marshal(configuration)
	if err != nil {
		return pipeline.Result{}, err
	}
	result, err := action.Run(ctx, pipeline.Job{Action: pipeline.Action{Name: "source"}, Revision: revision, Configuration: text, Dir: f.Dir, Log: f.Log})
	if err == nil && result.Outcome != pipeline.Succeeded {
		err = &project.Error{Kind: project.ErrInvalid, Message: result.Message}
	}
	return result, err
}

// refusedSource tells a project's user what they can mend.
func refusedSource(err error) error {
	if refusal, ok := errors.AsType[*source.Error](err); ok {
		return &project.Error{Kind: project.ErrInvalid, Message: refusal.Error()}
	}
	return err
}

// find is the repository here that a location means, brought up to date when it
// mirrors another one.
func (s projectSources) find(ctx context.Context, from project.Source) (string, error) {
	location := strings.TrimSuffix(strings.TrimRight(from.Location, "/"), ".git")
	if !strings.ContainsAny(location, "/:") {
		return location, nil // a name
	}
	if name, ok := strings.CutPrefix(location, strings.TrimRight(s.own(), "/")+source.Prefix); ok {
		return name, nil
	}
	if _, name, ok := strings.Cut(location, "/v1/repos/"); ok && from.Type == "CODECOMMIT" {
		return name, nil
	}
	all, err := s.mirrors.store.Mirrors(ctx)
	if err != nil {
		return "", err
	}
	for _, m := range all {
		if strings.TrimSuffix(strings.TrimRight(m.URL, "/"), ".git") == location {
			return m.Name, s.update(ctx, m.Name)
		}
	}
	// As pipelines name it whose source is a connection to a forge.
	parts := strings.FieldsFunc(location, func(c rune) bool { return c == '/' || c == ':' })
	if n := len(parts); n > 1 {
		here := strings.ToLower(parts[n-2] + "-" + parts[n-1])
		if _, mirrored := s.repositories.MirrorOf(here); !mirrored && s.repositories.Exists(here) {
			return here, nil
		}
	}
	name := source.MirrorName(from.Location)
	_, err = s.repositories.AddMirror(ctx, source.Mirror{Name: name, URL: from.Location})
	if refusal, ok := errors.AsType[*source.Error](err); ok && refusal.Hint == "" {
		refusal.Hint = addMirrorHint(name, from.Location)
	}
	return name, err
}

// update fetches what has changed at a mirror's remote. A remote that does not
// answer is not what a build has to fail of.
func (s projectSources) update(ctx context.Context, name string) error {
	m, err := s.mirrors.LoadMirror(ctx, name)
	if err != nil {
		return err
	}
	push, err := s.repositories.UpdateMirror(ctx, m.Mirror)
	if errors.Is(err, source.ErrUnreachable) {
		return nil
	}
	if err == nil {
		s.mirrors.moved(ctx, push)
	}
	return err
}

// buildLogs are the logs of builds as log groups: one of each project.
type buildLogs struct{ builder *builder.Builder }

var _ logs.Archive = buildLogs{}

// mostStreams bounds how many of a project's builds are looked at.
const mostStreams = 1000

// Groups lists a group for each project.
func (l buildLogs) Groups(ctx context.Context) ([]logs.Group, error) {
	all, err := l.builder.Projects(ctx)
	if err != nil {
		return nil, err
	}
	var found []logs.Group
	for _, p := range all {
		found = append(found, logs.Group{Name: codebuild.LogGroup(p.Definition.Name), Created: p.Created})
	}
	return found, nil
}

// Streams lists the newest builds of a project.
func (l buildLogs) Streams(ctx context.Context, group string, since time.Time) ([]logs.Stream, error) {
	name, ok := strings.CutPrefix(group, codebuild.LogGroup(""))
	if !ok {
		return nil, logs.ErrNotFound
	}
	all, err := l.builder.Builds(ctx, builder.Filter{Project: name, Limit: mostStreams})
	if err == nil && len(all) == 0 {
		if _, err := l.builder.Project(ctx, name); err != nil {
			return nil, loglessly(err)
		}
	}
	var found []logs.Stream
	for _, b := range all {
		// The builds of an action's batch write to the log of the action.
		shared := b.PartOf != "" && b.Action != nil
		if !shared && !b.Running.IsZero() && (b.Ended.IsZero() || !b.Ended.Before(since)) {
			found = append(found, l.stream(b.Build))
		}
	}
	return found, err
}

// Stream is the log of one build.
func (l buildLogs) Stream(ctx context.Context, group, name string) (logs.Stream, error) {
	projectName, ok := strings.CutPrefix(group, codebuild.LogGroup(""))
	if !ok {
		return logs.Stream{}, logs.ErrNotFound
	}
	b, err := l.builder.Build(ctx, projectName+":"+name)
	if err == nil && b.Running.IsZero() {
		return logs.Stream{}, logs.ErrNotFound
	}
	return l.stream(b), loglessly(err)
}

func (l buildLogs) stream(b project.Build) logs.Stream {
	return logs.Stream{Name: b.UUID(), Started: b.Running, Ended: b.Ended, File: l.builder.LogFile(b)}
}

// loglessly says of a project or build that is not there that there is no log.
func loglessly(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w: %w", logs.ErrNotFound, err)
	}
	return err
}
