package buildtest

import (
	"context"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/buildspec"
)

// phases are what a buildspec asks of a backend besides its commands.
func (s suite) phases(t *testing.T) {
	t.Parallel()
	t.Run("are run again when they fail", s.retries)
	t.Run("know in version 0.1 that the build has failed", s.failingShells)
	t.Run("do not run as a user that there is not", s.runAs)
	t.Run("know secrets and do not show them", s.secrets)
	t.Run("have a credential for a cluster", s.kubeconfig)
	t.Run("find CodeBuild's tools", s.tools)
	t.Run("are told of tools that differ", s.runtimes)
	t.Run("begin their lines with a label", s.label)
}

// count fails until it has run so many times.
const countTo = `n=$(($(cat n 2>/dev/null || echo 0) + 1)); echo $n > n; echo "run $n"; [ $n -ge %d ] || { echo "connection timed out" >&2; exit 7; }`

func (s suite) retries(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		phase   build.Phase
		until   int
		outcome []string
		retries int
		printed []string
	}{
		"until they succeed": {
			build.Phase{Retries: 3}, 3, []string{"build ok", "post_build ok"}, 2,
			[]string{"run 1", "connection timed out", "finally", "run 2", "connection timed out", "finally", "run 3", "finally", "succeeding 1"},
		},
		"as often as they may": {
			build.Phase{Retries: 1, GoOn: true}, 3, []string{"build failed: 7", "post_build ok"}, 1,
			[]string{"run 1", "connection timed out", "finally", "run 2", "connection timed out", "finally", "succeeding 0"},
		},
		"when their failure is the one that is named": {
			build.Phase{Retries: 2, RetryIf: "(?m)^connection.*out$"}, 2, []string{"build ok", "post_build ok"}, 1,
			[]string{"run 1", "connection timed out", "finally", "run 2", "finally", "succeeding 1"},
		},
		"or when the exit code is": {
			build.Phase{Retries: 2, RetryIf: "exit status 7"}, 2, []string{"build ok", "post_build ok"}, 1,
			[]string{"run 1", "connection timed out", "finally", "run 2", "finally", "succeeding 1"},
		},
		"and not when it is another one": {
			build.Phase{Retries: 2, RetryIf: "disk full"}, 2, []string{"build failed: 7"}, 0,
			[]string{"run 1", "connection timed out", "finally"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := New(t)
			c.phase.Name, c.phase.Commands, c.phase.Finally = "build", []string{fmt.Sprintf(countTo, c.until)}, []string{"echo finally"}
			b.Phases = []build.Phase{c.phase, {Name: "post_build", Commands: []string{"echo succeeding $CODEBUILD_BUILD_SUCCEEDING"}}}
			b.Env = map[string]string{"CODEBUILD_BUILD_SUCCEEDING": "1"}
			ended := s.run(t, b)
			got := []string{}
			for _, p := range ended.Phases {
				word := p.Name + " ok"
				if p.Failure != nil {
					word = fmt.Sprintf("%s failed: %d", p.Name, p.Failure.Exit)
				}
				got = append(got, word)
			}
			if diff := cmp.Diff(c.outcome, got); diff != "" || ended.Phases[0].Retries != c.retries {
				t.Errorf("%d retries, outcome (-want +got)\n%s", ended.Phases[0].Retries, diff)
			}
			if diff := cmp.Diff(c.printed, printed(t, b)); diff != "" {
				t.Error("printed (-want +got)\n", diff)
			}
		})
	}
}

func (s suite) failingShells(t *testing.T) {
	t.Parallel()
	b := New(t, "echo $CODEBUILD_BUILD_SUCCEEDING", "cd /; exit 2")
	b.Separate, b.Phases[0].GoOn, b.Env = true, true, map[string]string{"CODEBUILD_BUILD_SUCCEEDING": "1"}
	b.Phases = append(b.Phases, build.Phase{Name: "post_build", Commands: []string{
		"echo $CODEBUILD_BUILD_SUCCEEDING", `test "$PWD" = "$CODEBUILD_SRC_DIR" && echo $CODEBUILD_BUILD_SUCCEEDING`,
	}})
	s.run(t, b)
	if diff := cmp.Diff([]string{"1", "0", "0"}, printed(t, b)); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}

func (s suite) runAs(t *testing.T) {
	t.Parallel()
	b := New(t, "echo no")
	b.Phases[0].RunAs, b.Phases[0].Retries = "nobody-by-that-name", 2
	b.Phases[0].Finally = []string{"echo no"}
	p, failed := s.run(t, b).Failed()
	if !failed || !strings.Contains(p.Failure.Reason, "run-as: nobody-by-that-name") {
		t.Errorf("got %+v", p)
	}
	if diff := cmp.Diff([]string{}, commandOutput(t, b)); diff != "" {
		t.Error("printed (-want +got)\n", diff)
	}
}

// commandOutput are the lines that commands printed, without what is said of
// run-as.
func commandOutput(t *testing.T, b build.Build) []string {
	t.Helper()
	lines := []string{}
	for _, l := range printed(t, b) {
		if !strings.HasPrefix(l, "run-as: ") {
			lines = append(lines, l)
		}
	}
	return lines
}

func (s suite) secrets(t *testing.T) {
	t.Parallel()
	const token, key = "s3cret-token-of-the-test", "another s3cret\nof two lines"
	b := New(t,
		`test "$TOKEN" = "s3cret-token""-of-the-test" && echo token`,
		`test "$(printf %s "$KEY" | wc -l)" = 1 && echo key`,
		`echo "it is $TOKEN"; echo "$KEY"`,
		`printf 's3cret-token'; sleep 0.1; printf '%s\n' '-of-the-test'`,
		`echo "$A $B $C"`,
		`COPY="<$TOKEN>"`,
		`echo "failing with $TOKEN"; exit 3`,
	)
	b.Env = map[string]string{"TOKEN": "from the spec", "A": "a"}
	b.Override = map[string]string{"B": "from the action", "C": "from the action"}
	b.Exported = []string{"COPY"}
	asked := 0
	b.Values = func(context.Context) (build.Values, error) {
		asked++
		return build.Values{
			Env:      map[string]string{"TOKEN": token, "KEY": key, "B": "no"},
			Override: map[string]string{"C": "known by its name"},
		}, nil
	}
	ended := s.run(t, b)
	if asked != 1 {
		t.Errorf("the values were asked for %d times", asked)
	}
	p, failed := ended.Failed()
	if !failed || p.Failure.Exit != 3 {
		t.Errorf("got %+v", p)
	}
	log := strings.Join(Lines(t, b), "\n")
	shown := fmt.Sprintf("%s\n%+v %+v", log, ended, p.Failure)
	for _, part := range []string{token, "another s3cret", "of two lines", base64.StdEncoding.EncodeToString([]byte(token))} {
		if strings.Contains(shown, part) {
			t.Errorf("%q is shown:\n%s", part, shown)
		}
	}
	for _, want := range []string{"token", "key", "it is ***", "a from the action ***", "failing with ***"} {
		if !strings.Contains("\n"+log+"\n", "\n"+want+"\n") {
			t.Errorf("the log has no line %q:\n%s", want, log)
		}
	}
	if ended.Exported["COPY"] != "<***>" && ended.Exported["COPY"] != "" {
		t.Errorf("COPY is exported as %q", ended.Exported["COPY"])
	}
}

func (s suite) kubeconfig(t *testing.T) {
	t.Parallel()
	const token = "eyJhbGciOiJub25lIn0.the-token-of-the-test" //nolint:gosec // of no cluster
	b := New(t,
		`ls -l "$KUBECONFIG" | cut -c 1-10`,
		`grep -c clusters "$KUBECONFIG"`,
		`cat "$KUBECONFIG"; echo`,
	)
	b.Kubeconfig = func(context.Context) ([]byte, error) {
		return []byte(`{"clusters":[],"users":[{"name":"build","user":{"token":"` + token + `"}}]}`), nil
	}
	s.run(t, b)
	want := []string{"-rw-------", "1", `{"clusters":[],"users":[{"name":"build","user":{"token":"***"}}]}`}
	if diff := cmp.Diff(want, printed(t, b)); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}

func (s suite) tools(t *testing.T) {
	t.Parallel()
	b := New(t,
		"mkdir -p a/b; echo one > a/lock; echo two > a/b/lock; echo three > other",
		"cd a; codebuild-hash-files '**/lock'",
		"touch ../more; codebuild-hash-files '**/lock'",
		"echo changed > lock; codebuild-hash-files 'a/lock' 'a/b/lock'",
		"codebuild-hash-files none; echo $?",
	)
	s.run(t, b)
	got := printed(t, b)
	if len(got) != 5 {
		t.Fatalf("printed %q", got)
	}
	hash := regexp.MustCompile(`^[0-9a-f]{64}$`)
	if !hash.MatchString(got[0]) || got[1] != got[0] || got[2] == got[0] || !hash.MatchString(got[2]) {
		t.Errorf("the hashes are %q", got[:3])
	}
	if !strings.HasPrefix(got[3], "codebuild-hash-files: no file matches none in ") || got[4] != "1" {
		t.Errorf("without files: %q", got[3:])
	}
}

func (s suite) runtimes(t *testing.T) {
	t.Parallel()
	b := New(t, "echo done")
	b.Runtimes = []buildspec.Runtime{{Name: "cobol", Version: "85"}, {Name: "ruby", Version: "0.1"}}
	s.run(t, b)
	var got []string
	for _, l := range Lines(t, b) {
		if strings.HasPrefix(l, "[install] ") {
			got = append(got, l)
		}
	}
	if len(got) != 2 || got[0] != "[install] warning: runtime cobol 85: this runtime is not known here; what is installed is used" ||
		!strings.HasPrefix(got[1], "[install] warning: runtime ruby 0.1: ") {
		t.Errorf("the log says %q", got)
	}
}

func (s suite) label(t *testing.T) {
	t.Parallel()
	b := New(t, "seq 3; echo; printf 'no newline'", "echo last; exit 1")
	b.Label = "unit_tests"
	b.Phases[0].Finally = []string{`echo "$KEY"`}
	b.Values = func(context.Context) (build.Values, error) {
		return build.Values{Env: map[string]string{"KEY": "a s3cret\nof two lines"}}, nil
	}
	p, _ := s.run(t, b).Failed()
	var got []string
	for _, l := range Lines(t, b) {
		rest, ok := strings.CutPrefix(l, "[unit_tests] ")
		if !ok {
			t.Errorf("line %q has no label", l)
		}
		if !strings.Contains(rest, " backend: ") {
			got = append(got, rest)
		}
	}
	want := []string{"[build] $ seq 3; echo; printf 'no newline'", "1", "2", "3", "", "no newline", "[build] $ echo last; exit 1", "last", "[build] exit code 1",
		`[build finally] $ echo "$KEY"`, "***", "***"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
	if diff := cmp.Diff([]string{"last"}, p.Failure.Tail); diff != "" {
		t.Error("tail (-want +got)\n", diff)
	}
}
