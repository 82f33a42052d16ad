package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/config"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/secret/amazon"
	"github.com/towline/towline/internal/server"
	"github.com/towline/towline/internal/store"
)

// vault is where secrets are looked for that are not stored here.
type vault interface {
	Parameter(ctx context.Context, r secret.Reference) (string, error)
	Secret(ctx context.Context, r secret.Reference) (string, error)
}

var _ vault = (*amazon.Vault)(nil)

// secrets are what builds get to know by its name. Their values lie in the
// database sealed, and leave it only for a build that may have them.
type secrets struct {
	store *store.DB
	keys  *secret.Keyring
	aws   vault // nil: nowhere else
	now   func() time.Time
}

var (
	_ server.Secrets = (*secrets)(nil)
	_ build.Secrets  = (*secrets)(nil)
)

// newSecrets opens nothing: AWS is asked when a build needs it.
func (a *App) newSecrets(keys *secret.Keyring) *secrets {
	s := &secrets{store: a.store, keys: keys, now: time.Now}
	if a.options.Server.Secrets == config.SecretsAWS {
		s.aws = &amazon.Vault{}
	}
	return s
}

// secretLabel is what a version is sealed for: an old one does not open as a
// newer one.
func secretLabel(name string, version int) string {
	return fmt.Sprintf("secret %s version %d", name, version)
}

// List shows the stored secrets.
func (s *secrets) List(ctx context.Context) ([]client.Secret, error) {
	all, err := s.store.Secrets(ctx)
	if err != nil {
		return nil, err
	}
	found := []client.Secret{}
	for _, stored := range all {
		found = append(found, showSecret(stored))
	}
	return found, nil
}

func showSecret(s store.Secret) client.Secret {
	return client.Secret{Name: s.Name, Users: s.Users, Version: s.Version, Created: s.Created, Updated: s.Updated}
}

// Set makes a secret or a new version of it, or changes who may use it.
func (s *secrets) Set(ctx context.Context, req client.SecretRequest) (client.Secret, error) {
	if err := checkSecret(req); err != nil {
		return client.Secret{}, err
	}
	change := store.SecretChange{Name: req.Name, Now: s.now()}
	if len(req.Users) > 0 {
		change.Users = req.Users
	}
	if req.Value != nil {
		change.Seal = func(version int) ([]byte, error) {
			return s.keys.Seal(secretLabel(req.Name, version), []byte(*req.Value))
		}
	}
	changed, err := s.store.ChangeSecret(ctx, change)
	return showSecret(changed), err
}

func checkSecret(req client.SecretRequest) error {
	if err := secret.CheckName(req.Name); err != nil {
		return err
	}
	for _, pattern := range req.Users {
		if _, err := path.Match(pattern, ""); err != nil || strings.TrimPrefix(pattern, projectUser) == "" || len(pattern) > 200 {
			return &secret.Error{Message: fmt.Sprintf("%q is not a pattern of who may use a secret", pattern), Hint: "write a pipeline such as web, a pattern such as api-*, or project:NAME"}
		}
	}
	switch {
	case req.Value == nil && len(req.Users) == 0:
		return &secret.Error{Message: "neither a value nor who may use it is given"}
	case req.Value == nil:
		return nil
	case *req.Value == "":
		return &secret.Error{Message: "the value is empty"}
	case len(*req.Value) > secret.MaxValue:
		return &secret.Error{Message: fmt.Sprintf("the value is longer than %d KiB, the most that is kept", secret.MaxValue>>10)}
	case !utf8.ValidString(*req.Value) || strings.ContainsRune(*req.Value, 0):
		return &secret.Error{Message: "the value is not text, so no environment variable can hold it", Hint: "store it as base64, and decode it in the build"}
	}
	return nil
}

// Delete forgets a secret.
func (s *secrets) Delete(ctx context.Context, name string) error {
	return s.store.RemoveSecret(ctx, name)
}

// reseal encrypts all versions with the newest key.
func (s *secrets) reseal(ctx context.Context) error {
	return s.store.ResealSecrets(ctx, func(v store.SecretVersion) ([]byte, error) {
		text, err := s.keys.Unseal(secretLabel(v.Name, v.Version), v.Sealed)
		if err != nil {
			return nil, err
		}
		return s.keys.Seal(secretLabel(v.Name, v.Version), text)
	})
}

// projectUser is how a pattern of who may use a secret names a project.
const projectUser = "project:"

// secretUser is who asks for a secret: a build of a pipeline, or of a project,
// also within a pipeline.
type secretUser struct{ pipeline, project string }

func (u secretUser) String() string {
	if u.pipeline != "" {
		return "pipeline " + u.pipeline
	}
	return "project " + u.project
}

// may tells whether one of the patterns is for it.
func (u secretUser) may(patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		project, isProject := strings.CutPrefix(pattern, projectUser)
		if isProject {
			ok, _ := path.Match(project, u.project)
			return ok && u.project != ""
		}
		ok, _ := path.Match(pattern, u.pipeline)
		return pattern == "*" || ok && u.pipeline != ""
	})
}

// Secret is the value that a build asks for: of a secret that is stored here,
// or, when the build's file may name others, of one that AWS keeps.
func (s *secrets) Secret(ctx context.Context, want build.SecretRef) (string, error) {
	parse := secret.ParseSecret
	if want.Kind == build.ParameterSecret {
		parse = secret.ParseParameter
	}
	r, err := parse(want.Name)
	if err != nil {
		return "", err
	}
	value, err := s.stored(ctx, secretUser{want.Pipeline, want.Project}, r)
	if errors.Is(err, store.ErrNotFound) {
		value, err = s.elsewhere(ctx, want.Kind, r)
	}
	if err != nil {
		return "", err
	}
	return r.Pick(value)
}

func (s *secrets) elsewhere(ctx context.Context, kind build.SecretKind, r secret.Reference) (value string, err error) {
	switch {
	case s.aws == nil, kind == build.OwnSecret:
		return "", missingSecret(r, "")
	case kind == build.ParameterSecret:
		value, err = s.aws.Parameter(ctx, r)
	default:
		value, err = s.aws.Secret(ctx, r)
	}
	if none, ok := errors.AsType[*amazon.NotFoundError](err); ok {
		return "", missingSecret(r, ", and "+none.Error())
	}
	return value, err
}

func missingSecret(r secret.Reference, nor string) error {
	return &secret.Error{Message: fmt.Sprintf("there is no secret %s%s", r.Names[0], nor), Hint: "set it with: towline secret set " + r.Names[len(r.Names)-1]}
}

// stored is the value of a secret that is stored here. The error wraps
// store.ErrNotFound when there is none, and is a *secret.Error when the user
// may not have it or there is no such version.
func (s *secrets) stored(ctx context.Context, user secretUser, r secret.Reference) (string, error) {
	for _, name := range r.Names {
		found, versions, err := s.store.SecretVersions(ctx, name)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return "", err
		}
		if !user.may(found.Users) {
			return "", &secret.Error{
				Message: fmt.Sprintf("%s may not use secret %s, which is for %s", user, name, strings.Join(found.Users, ", ")),
				Hint:    fmt.Sprintf("say who may with: towline secret allow %s %s", name, cmp.Or(user.pipeline, projectUser+user.project)),
			}
		}
		version, err := chooseVersion(r, versions)
		if err != nil {
			return "", err
		}
		text, err := s.keys.Unseal(secretLabel(name, version.Version), version.Sealed)
		return string(text), err
	}
	return "", fmt.Errorf("secret %s: %w", r.Names[0], store.ErrNotFound)
}

// chooseVersion finds the version that is meant among those that are kept, newest
// first.
func chooseVersion(r secret.Reference, versions []store.SecretVersion) (store.SecretVersion, error) {
	none := func(what string) (store.SecretVersion, error) {
		return store.SecretVersion{}, &secret.Error{Message: fmt.Sprintf("secret %s has no %s", r.Names[0], what), Hint: "the last ten versions are kept, numbered from 1; leave the version out for the newest"}
	}
	at := 0
	switch r.Stage {
	case "", "AWSCURRENT":
	case "AWSPREVIOUS":
		at = 1
	default:
		return none("version stage " + r.Stage)
	}
	if r.Version != "" {
		at = slices.IndexFunc(versions, func(v store.SecretVersion) bool { return strconv.Itoa(v.Version) == r.Version })
	}
	if at < 0 || at >= len(versions) {
		return none("version " + cmp.Or(r.Version, r.Stage))
	}
	return versions[at], nil
}
