package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/towline/towline/internal/buildspec"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/secret"
)

// Secrets knows the values that builds ask for by name. It is called for each of
// them each time a build begins to run, by many builds at once.
type Secrets interface {
	// Secret returns the value. An error that is a *secret.Error is the user's
	// to mend: the build fails with it.
	Secret(ctx context.Context, want SecretRef) (string, error)
}

// SecretRef is a value that a build asks for.
type SecretRef struct {
	Kind SecretKind
	// Name is as the user has written it, see SecretKind.
	Name string
	// Pipeline or Project is who asks: a build of a pipeline, or of a project,
	// also within a pipeline.
	Pipeline, Project string
}

// SecretKind is where a user has written the name of a value.
type SecretKind string

// The kinds of a SecretRef.
const (
	// OwnSecret is what an action of a pipeline names: a secret that Towline
	// keeps.
	OwnSecret SecretKind = "secret"
	// ParameterSecret is the name of a parameter, of a buildspec's
	// env.parameter-store or of a project.
	ParameterSecret SecretKind = "parameter-store"
	// ManagerSecret is secret-id:json-key:version-stage:version-id, of a
	// buildspec's env.secrets-manager or of a project.
	ManagerSecret SecretKind = "secrets-manager"
)

// GitCredentials knows what the sources of pipelines were fetched with.
type GitCredentials interface {
	// GitCredential returns the credential of a repository by its name in a
	// pipeline.Revision; ok is false when it has none.
	GitCredential(ctx context.Context, repository string) (credential GitCredential, ok bool, err error)
}

// wanted is a variable whose value is a secret.
type wanted struct {
	Variable string     `json:"variable"`
	Kind     SecretKind `json:"kind"`
	Name     string     `json:"name"`
	// Override is that of an action or project, which replaces others.
	Override bool `json:"override,omitempty"`
}

// wantedSecrets are the secrets of a buildspec and then those of its action or
// project, each sorted.
func wantedSecrets(env buildspec.Env, config pipeline.Build) []wanted {
	var all []wanted
	add := func(names map[string]string, kind SecretKind, override bool) {
		for _, variable := range slices.Sorted(maps.Keys(names)) {
			if !strings.HasPrefix(variable, reservedPrefix) {
				all = append(all, wanted{Variable: variable, Kind: kind, Name: names[variable], Override: override})
			}
		}
	}
	add(env.Parameters, ParameterSecret, false)
	add(env.Secrets, ManagerSecret, false)
	add(config.Parameters, ParameterSecret, true)
	add(config.Managed, ManagerSecret, true)
	add(config.Secrets, OwnSecret, true)
	return all
}

// values is what asks for all that the build may know and not show, nil when it
// asks for nothing.
func (a Action) values(job pipeline.Job, p plan) func(context.Context) (Values, error) {
	if len(p.Secrets) == 0 && !p.Git && len(p.Databases) == 0 {
		return nil
	}
	return func(ctx context.Context) (Values, error) {
		v := Values{Env: map[string]string{}, Override: map[string]string{}, Plain: map[string]string{}}
		if err := a.createDatabases(ctx, job, p, &v); err != nil {
			return Values{}, err
		}
		for _, w := range p.Secrets {
			value, err := a.secret(ctx, job, w)
			if err != nil {
				return Values{}, err
			}
			if w.Override {
				v.Override[w.Variable] = value
			} else {
				v.Env[w.Variable] = value
			}
		}
		var err error
		if p.Git {
			v.Git, err = a.gitCredential(ctx, job)
		}
		return v, err
	}
}

func (a Action) secret(ctx context.Context, job pipeline.Job, w wanted) (string, error) {
	what := fmt.Sprintf("variable %s (%s %s)", w.Variable, w.Kind, w.Name)
	if a.Secrets == nil {
		return "", refuse("%s: no secrets are kept here; set the variable in the environment of the build", what)
	}
	ref := SecretRef{Kind: w.Kind, Name: w.Name, Pipeline: job.Pipeline, Project: a.Project}
	if a.Project != "" { // The job's pipeline only stands for one.
		ref.Pipeline = ""
	}
	value, err := a.Secrets.Secret(ctx, ref)
	if no, ok := errors.AsType[*secret.Error](err); ok {
		return "", refuse("%s: %v", what, no)
	}
	if err != nil {
		return "", fmt.Errorf("get the value of %s: %w", what, err)
	}
	if strings.ContainsRune(value, 0) {
		return "", refuse("%s: the value holds a NUL character, which no variable can", what)
	}
	return value, nil
}

// gitCredential is the credential of the source. That there is none is no
// failure: a public repository needs none.
func (a Action) gitCredential(ctx context.Context, job pipeline.Job) (GitCredential, error) {
	repository := job.Revision.Repository
	if a.Git != nil {
		credential, ok, err := a.Git.GitCredential(ctx, repository)
		if err != nil {
			return GitCredential{}, fmt.Errorf("get the credential of repository %s: %w", repository, err)
		}
		if ok {
			return credential, nil
		}
	}
	fmt.Fprintf(job.Log, "warning: env.git-credential-helper: there is no credential for repository %s: git asks nobody\n", cmp.Or(repository, "(none)"))
	return GitCredential{}, nil
}
