package build_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/secret"
	"github.com/towline/towline/internal/waittest"
)

// vault are secrets by kind and name, and the git credential of the repository
// web.
type vault map[build.SecretKind]map[string]string

func (v vault) Secret(_ context.Context, want build.SecretRef) (string, error) {
	if want.Pipeline != "web" {
		return "", errors.New("who asks?")
	}
	if want.Name == "/broken" {
		return "", errors.New("the store is away")
	}
	value, ok := v[want.Kind][want.Name]
	if !ok {
		return "", &secret.Error{Message: "there is no secret " + want.Name, Hint: "set it with: towline secret set " + want.Name}
	}
	return value, nil
}

func (v vault) GitCredential(_ context.Context, repository string) (build.GitCredential, bool, error) {
	return build.GitCredential{Host: "git.example.com", User: "me", Password: "git-passw0rd"}, repository == "web", nil
}

const asking = `version: 0.2
env:
  git-credential-helper: yes
  variables: {PLAIN: p}
  parameter-store: {TOKEN: /web/token, BOTH: /web/token}
  secrets-manager: {PASSWORD: "web/db:password"}
  exported-variables: [TOKEN, PLAIN]
phases:
  build:
    commands:
      - echo "$TOKEN $PASSWORD $OWN $BOTH $PLAIN"
      - test "$TOKEN$PASSWORD$OWN$BOTH" = tok"en-of-the-store"pass"word-of-the-store"own"-secret-value"own"-secret-value" -a "$PROJECT" = "$TOKEN" && echo all are known
      - printf 'protocol=https\nhost=git.example.com\n\n' | GIT_TERMINAL_PROMPT=0 git credential fill
      - printf 'protocol=https\nhost=elsewhere.example.com\n\n' | GIT_TERMINAL_PROMPT=0 git credential fill 2>/dev/null || echo nothing for others
      - printf 'protocol=http\nhost=git.example.com\n\n' | GIT_TERMINAL_PROMPT=0 git credential fill 2>/dev/null || echo nothing in the clear
`

func TestActionGivesABuildItsSecrets(t *testing.T) {
	t.Parallel()
	o := newOrder(t, map[string]string{"buildspec.yml": asking}, pipeline.Build{
		Env: map[string]string{"BOTH": "no"}, Secrets: map[string]string{"OWN": "web/own", "BOTH": "web/own"},
		Parameters: map[string]string{"PROJECT": "/web/token"}, Managed: map[string]string{"BOTH": "web/db:password"},
	})
	o.Vault = vault{
		build.ParameterSecret: {"/web/token": "token-of-the-store"},
		build.ManagerSecret:   {"web/db:password": "password-of-the-store"},
		build.OwnSecret:       {"web/own": "own-secret-value"},
	}
	got := run(t, o)
	if got.Outcome != pipeline.Succeeded {
		t.Fatal(got, logOf(t, o))
	}
	if diff := cmp.Diff(map[string]string{"PLAIN": "p"}, got.Variables); diff != "" {
		t.Error("exported (-want +got)\n", diff)
	}
	log := logOf(t, o)
	for _, want := range []string{
		"\n*** *** *** *** p\n", "\nall are known\n", "\nusername=me\n", "\npassword=***\n", "\nnothing for others\n", "\nnothing in the clear\n",
		"TOKEN is not exported: its value is a secret",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %q:\n%s", want, log)
		}
	}
	secrets := []string{"token-of-the-store", "password-of-the-store", "own-secret-value", "git-passw0rd"}
	for _, dir := range []string{o.Job.Dir, o.Job.LogFile} {
		holds(t, dir, secrets)
	}
}

// holds fails when a file below dir has one of the words in it.
func holds(t *testing.T, dir string, words []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, w := range words {
			if strings.Contains(string(text), w) {
				t.Errorf("%s holds %q", path, w)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestActionFailsWithoutTheSecrets(t *testing.T) {
	t.Parallel()
	const head = "version: 0.2\nphases: {build: {commands: [echo no]}}\n"
	for name, c := range map[string]struct {
		env, want string
		vault     vault
	}{
		"when there is none of the name": {"env: {parameter-store: {A: /gone}}\n",
			"variable A (parameter-store /gone): there is no secret /gone: set it with: towline secret set /gone", vault{}},
		"when no secrets are kept": {"env: {secrets-manager: {A: 'web/db:key'}}\n",
			"variable A (secrets-manager web/db:key): no secrets are kept here; set the variable in the environment of the build", nil},
		"when the value cannot be a variable's": {"env: {parameter-store: {A: nul}}\n",
			"variable A (parameter-store nul): the value holds a NUL character, which no variable can", vault{build.ParameterSecret: {"nul": "a\x00b"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrder(t, map[string]string{"buildspec.yml": head + c.env}, pipeline.Build{})
			o.Vault = c.vault
			got := run(t, o)
			if diff := cmp.Diff(c.want, got.Message); diff != "" || got.Outcome != pipeline.Failed {
				t.Errorf("%s (-want +got)\n%s", got.Outcome, diff)
			}
		})
	}
	t.Run("and faults when they cannot be asked for", func(t *testing.T) {
		t.Parallel()
		o := newOrder(t, map[string]string{"buildspec.yml": head + "env: {parameter-store: {A: /broken}}\n"}, pipeline.Build{})
		o.Vault = vault{}
		if _, err := o.run(t.Context()); err == nil || !strings.Contains(err.Error(), "the store is away") {
			t.Errorf("got %v", err)
		}
	})
}

func TestActionSaysWhenGitHasNoCredential(t *testing.T) {
	t.Parallel()
	o := newOrder(t, map[string]string{"buildspec.yml": "version: 0.2\nenv: {git-credential-helper: yes}\nphases: {build: {commands: ['true']}}\n"}, pipeline.Build{})
	o.Vault, o.Job.Revision.Repository = vault{}, "public"
	if got := run(t, o); got.Outcome != pipeline.Succeeded {
		t.Error(got)
	}
	if log := logOf(t, o); !strings.Contains(log, "there is no credential for repository public: git asks nobody") {
		t.Error(log)
	}
}

// TestALostBuildIsToldItsSecretsAgain kills the process that runs a build.
func TestALostBuildIsToldItsSecretsAgain(t *testing.T) {
	t.Parallel()
	o := newOrder(t, map[string]string{"buildspec.yml": `version: 0.2
env: {parameter-store: {TOKEN: /web/token}}
phases:
  build:
    commands:
      - test "$TOKEN" = tok"en-of-the-store" && echo "it knows $TOKEN"
      - while [ ! -e "$XDG_CACHE_HOME/go" ]; do sleep 0.01; done
`}, pipeline.Build{})
	o.Vault = vault{build.ParameterSecret: {"/web/token": "token-of-the-store"}}
	done := make(chan pipeline.Result, 1)
	go func() {
		result, err := o.run(t.Context())
		if err != nil {
			t.Error(err)
		}
		done <- result
	}()
	waittest.Until(t, "the build knows its secret", o.logs(t, "it knows ***"))
	kill(t, o.runnerOf(t))
	again := func() bool { return strings.Count(logOf(t, o), "\nit knows ***\n") == 2 }
	waittest.Until(t, "it knows it again", again)
	caches, err := filepath.Glob(filepath.Join(o.Cache, "pipelines", "*"))
	if err != nil || len(caches) != 1 {
		t.Fatal(caches, err)
	}
	if err := os.WriteFile(filepath.Join(caches[0], "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if result := <-done; result.Outcome != pipeline.Succeeded {
		t.Errorf("got %+v", result)
	}
	holds(t, o.Job.Dir, []string{"token-of-the-store"})
}
