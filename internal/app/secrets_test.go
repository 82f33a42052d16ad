package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/client"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/secret/amazon"
	"github.com/towline/towline/internal/store"
)

// fakeVault has what tests put there.
type fakeVault map[string]string

func (v fakeVault) get(id string) (string, error) {
	if id == "broken" {
		return "", errors.New("connection refused")
	}
	value, ok := v[id]
	if !ok {
		return "", &amazon.NotFoundError{ID: id, Region: "eu-west-1"}
	}
	return value, nil
}

func (v fakeVault) Parameter(_ context.Context, r secret.Reference) (string, error) {
	return v.get(r.ID)
}

func (v fakeVault) Secret(_ context.Context, r secret.Reference) (string, error) { return v.get(r.ID) }

// secretsOf are the secrets of a server that has never run.
func secretsOf(t *testing.T, aws vault) (*secrets, string) {
	t.Helper()
	c, dir := clustersOf(t)
	return &secrets{store: c.store, keys: c.keys, aws: aws, now: func() time.Time { return time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC) }}, dir
}

func mustSet(t *testing.T, s *secrets, name, value string, users ...string) {
	t.Helper()
	if _, err := s.Set(t.Context(), client.SecretRequest{Name: name, Value: &value, Users: users}); err != nil {
		t.Fatal(err)
	}
}

func TestBuildsGetTheirSecrets(t *testing.T) {
	t.Parallel()
	s, _ := secretsOf(t, fakeVault{"/web/only-at-aws": "from aws", "web/db": "not asked for"})
	mustSet(t, s, "/web/db-password", "old")
	mustSet(t, s, "/web/db-password", "s3cret")
	mustSet(t, s, "web/db", `{"user": "web", "password": "s3cret"}`)
	mustSet(t, s, "closed", "s3cret", "api-*", "project:web-image")
	for name, c := range map[string]struct {
		want  build.SecretRef
		value string
		err   string // its beginning
	}{
		"a parameter":                       {build.SecretRef{Kind: build.ParameterSecret, Name: "/web/db-password"}, "s3cret", ""},
		"an older version of a parameter":   {build.SecretRef{Kind: build.ParameterSecret, Name: "/web/db-password:1"}, "old", ""},
		"a secret's key":                    {build.SecretRef{Kind: build.ManagerSecret, Name: "web/db:password"}, "s3cret", ""},
		"the version before":                {build.SecretRef{Kind: build.ManagerSecret, Name: "/web/db-password::AWSPREVIOUS"}, "old", ""},
		"a secret by its ARN at AWS":        {build.SecretRef{Kind: build.ManagerSecret, Name: "arn:aws:secretsmanager:eu-west-1:1234:secret:web/db-AbCdEf:user"}, "web", ""},
		"one that an action names":          {build.SecretRef{Kind: build.OwnSecret, Name: "/web/db-password"}, "s3cret", ""},
		"a parameter that AWS alone has":    {build.SecretRef{Kind: build.ParameterSecret, Name: "/web/only-at-aws"}, "from aws", ""},
		"one for other pipelines":           {build.SecretRef{Kind: build.OwnSecret, Name: "closed"}, "", "pipeline web may not use secret closed, which is for api-*, project:web-image: say who may with: towline secret allow closed web"},
		"one for a pattern of pipelines":    {build.SecretRef{Kind: build.OwnSecret, Name: "closed", Pipeline: "api-one"}, "s3cret", ""},
		"one for a project":                 {build.SecretRef{Kind: build.OwnSecret, Name: "closed", Project: "web-image"}, "s3cret", ""},
		"a version that there is not":       {build.SecretRef{Kind: build.ParameterSecret, Name: "/web/db-password:7"}, "", "secret /web/db-password has no version 7"},
		"a stage that there is not":         {build.SecretRef{Kind: build.ManagerSecret, Name: "web/db::AWSPENDING"}, "", "secret web/db has no version stage AWSPENDING"},
		"a key that there is not":           {build.SecretRef{Kind: build.ManagerSecret, Name: "web/db:port"}, "", `secret web/db has no key "port"`},
		"one that nobody has":               {build.SecretRef{Kind: build.ManagerSecret, Name: "none"}, "", "there is no secret none, and AWS has no none in eu-west-1: set it with: towline secret set none"},
		"AWS is not asked for what is own":  {build.SecretRef{Kind: build.OwnSecret, Name: "/web/only-at-aws"}, "", "there is no secret /web/only-at-aws: set it with"},
		"what is no name":                   {build.SecretRef{Kind: build.ParameterSecret, Name: "$HOME"}, "", `"$HOME" does not name a parameter`},
		"AWS that does not answer is fault": {build.SecretRef{Kind: build.ManagerSecret, Name: "broken"}, "", "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.want.Pipeline == "" && c.want.Project == "" {
				c.want.Pipeline = "web"
			}
			got, err := s.Secret(t.Context(), c.want)
			if got != c.value || (err == nil) != (c.err == "") {
				t.Fatalf("got %q, %v", got, err)
			}
			if err == nil {
				return
			}
			if !strings.HasPrefix(err.Error(), c.err) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error %q, want %q", err, c.err)
			}
			if _, mendable := errors.AsType[*secret.Error](err); mendable != !strings.Contains(name, "is fault") {
				t.Errorf("whose fault: %v", mendable)
			}
		})
	}
}

func TestAProjectIsNotAPipelineOfItsName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		user     secretUser
		patterns []string
		may      bool
	}{
		{secretUser{pipeline: "web"}, []string{"*"}, true},
		{secretUser{project: "web"}, []string{"*"}, true},
		{secretUser{project: "web"}, []string{"web"}, false},
		{secretUser{pipeline: "web"}, []string{"project:*"}, false},
		{secretUser{pipeline: "web", project: "image"}, []string{"project:im*"}, true},
		{secretUser{}, []string{"w*", "project:w*"}, false},
		{secretUser{pipeline: "web"}, nil, false},
	} {
		if got := c.user.may(c.patterns); got != c.may {
			t.Errorf("%+v by %q: %t", c.user, c.patterns, got)
		}
	}
}

func TestSecretsThatCannotBeKeptAreRefused(t *testing.T) {
	t.Parallel()
	s, _ := secretsOf(t, nil)
	text := func(text string) *string { return &text }
	for name, req := range map[string]client.SecretRequest{
		"a bad name":       {Name: "a b", Value: text("s3cret")},
		"nothing to do":    {Name: "web"},
		"an empty value":   {Name: "web", Value: text("")},
		"a large value":    {Name: "web", Value: text(strings.Repeat("s3cret", 64<<10/6+1))},
		"a binary value":   {Name: "web", Value: text("s3cret\xff")},
		"a NUL":            {Name: "web", Value: text("s3cret\x00")},
		"a bad pattern":    {Name: "web", Value: text("s3cret"), Users: []string{"[a"}},
		"an empty pattern": {Name: "web", Value: text("s3cret"), Users: []string{"project:"}},
	} {
		_, err := s.Set(t.Context(), req)
		if _, ok := errors.AsType[*secret.Error](err); !ok || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Set(t.Context(), client.SecretRequest{Name: "none", Users: []string{"web"}}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("who may use one that is not there: %v", err)
	}
}

func TestSecretsAreNotInTheDatabaseInTheClear(t *testing.T) {
	t.Parallel()
	s, dir := secretsOf(t, nil)
	value := strings.Repeat("s3cret-of-web", 6000)[:secret.MaxValue]
	mustSet(t, s, "web/large", value)
	entries, err := filepath.Glob(filepath.Join(dir, "towline.db*"))
	if err != nil || len(entries) == 0 {
		t.Fatal(err, entries)
	}
	for _, file := range entries {
		text, err := os.ReadFile(file)
		if err != nil || strings.Contains(string(text), "s3cret-of-web") {
			t.Errorf("%s: %v, or it holds the secret", file, err)
		}
	}
	t.Run("and open after a new key was made, with the old one gone", func(t *testing.T) {
		if err := s.keys.Rotate(); err != nil {
			t.Fatal(err)
		}
		if err := s.reseal(t.Context()); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "keys")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		first := strings.Index(string(text), "AGE-SECRET-KEY-1")
		rest := string(text)[first+1:]
		if err := os.WriteFile(path, []byte(rest[strings.Index(rest, "\n")+1:]), 0o600); err != nil {
			t.Fatal(err)
		}
		if s.keys, err = secret.Open(path); err != nil {
			t.Fatal(err)
		}
		got, err := s.Secret(t.Context(), build.SecretRef{Kind: build.OwnSecret, Name: "web/large", Pipeline: "web"})
		if err != nil || got != value {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
	t.Run("and one version does not open as another", func(t *testing.T) {
		mustSet(t, s, "web/large", "second")
		if err := s.store.ResealSecrets(t.Context(), func(v store.SecretVersion) ([]byte, error) {
			if v.Version == 1 {
				return v.Sealed, nil
			}
			_, all, err := s.store.SecretVersions(t.Context(), v.Name)
			return all[1].Sealed, err
		}); err != nil {
			t.Fatal(err)
		}
		_, err := s.Secret(t.Context(), build.SecretRef{Kind: build.OwnSecret, Name: "web/large", Pipeline: "web"})
		if err == nil || !strings.Contains(err.Error(), "tampered") {
			t.Errorf("error %v", err)
		}
	})
}

func TestListedSecretsHaveNoValues(t *testing.T) {
	t.Parallel()
	s, _ := secretsOf(t, nil)
	mustSet(t, s, "web/db", "s3cret", "web")
	all, err := s.List(t.Context())
	at := s.now()
	if diff := cmp.Diff([]client.Secret{{Name: "web/db", Users: []string{"web"}, Version: 1, Created: at, Updated: at}}, all); err != nil || diff != "" {
		t.Error(err, "(-want +got)\n", diff)
	}
	if strings.Contains(fmt.Sprintf("%+v", all), "s3cret") {
		t.Error("a value is listed")
	}
	if err := s.Delete(t.Context(), "web/db"); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "web/db"); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
}
