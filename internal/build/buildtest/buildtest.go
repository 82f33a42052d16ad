// Package buildtest holds what every backend for builds must do. A backend's
// test calls Run; the commands are those of a POSIX system with psql.
package buildtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/build"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/report"
)

// within bounds each build of the suite on a busy machine.
const within = 2 * time.Minute

// Options are what the suite needs to know of a backend.
type Options struct {
	// Backend is fit for several builds at once.
	Backend build.Backend
	// Prepare, when it is set, completes a build before it is run.
	Prepare func(b *build.Build)
	// Elsewhere tells that the builds have another network than this machine.
	// Their processes are seen here all the same.
	Elsewhere bool
}

// Run runs the suite for a backend of this machine.
func Run(t *testing.T, backend build.Backend) { RunWith(t, Options{Backend: backend}) }

// RunWith runs the suite.
func RunWith(t *testing.T, o Options) {
	s := suite{backend: prepared{o}, elsewhere: o.Elsewhere}
	t.Run("commands", s.commands)
	t.Run("a build whose command fails", s.failures)
	t.Run("the environment is clean", s.environment)
	t.Run("the log has all output in order", s.log)
	t.Run("a build that takes too long is ended", s.timeout)
	t.Run("a build that is stopped is ended", s.stop)
	t.Run("a build goes on while the server is away", s.shutdown)
	t.Run("processes left in the background are ended", s.background)
	t.Run("a database of its own", s.database)
	t.Run("builds at once do not share a database", s.twoDatabases)
	t.Run("a shell that is missing is a fault", s.noShell)
	t.Run("phases", s.phases)
}

type suite struct {
	backend   build.Backend
	elsewhere bool
}

// prepared is the backend with builds that are completed for it.
type prepared struct{ Options }

func (p prepared) Run(ctx context.Context, b build.Build) (build.Ended, error) {
	if p.Prepare != nil {
		p.Prepare(&b)
	}
	return p.Backend.Run(ctx, b)
}

// New returns a build with one phase, with an empty source, in a directory of
// its own, which ends with the test.
func New(tb testing.TB, commands ...string) build.Build {
	tb.Helper()
	dir := tb.TempDir()
	source := filepath.Join(dir, "src")
	restore := func(context.Context) error {
		return errors.Join(os.RemoveAll(source), os.Mkdir(source, 0o755))
	}
	// A backend that runs builds as another user goes through the parent.
	if err := errors.Join(restore(tb.Context()), os.Chmod(filepath.Dir(dir), 0o711)); err != nil {
		tb.Fatal(err)
	}
	log, err := report.OpenLog(filepath.Join(dir, "action.log"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = log.Close() })
	return build.Build{
		Pipeline: "web", Key: "web-1.Test.1." + rand.Text()[:10], Timeout: within,
		Phases: []build.Phase{{Name: "build", Commands: commands}},
		Dir:    dir, Source: source, Log: log, LogFile: filepath.Join(dir, "action.log"), Restore: restore,
	}
}

// Lines reads the log of a build, without the times.
func Lines(t *testing.T, b build.Build) []string {
	t.Helper()
	var lines []string
	err := report.Follow(context.Background(), b.LogFile, 0, func() bool { return true }, func(l report.Line) error {
		if l.Time.IsZero() {
			t.Errorf("line %q has no time", l.Text)
		}
		lines = append(lines, l.Text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// printed are the lines that commands printed: those of the backend itself are
// left out.
func printed(t *testing.T, b build.Build) []string {
	t.Helper()
	lines := []string{}
	for _, l := range Lines(t, b) {
		if !strings.HasPrefix(l, "host backend: ") && !strings.HasPrefix(l, "pod backend: ") && !strings.HasPrefix(l, "service ") && !strings.HasPrefix(l, "[") {
			lines = append(lines, l)
		}
	}
	return lines
}

func (s suite) run(t *testing.T, b build.Build) build.Ended {
	t.Helper()
	ended, err := s.backend.Run(t.Context(), b)
	if err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(Lines(t, b), "\n"))
	}
	return ended
}

// outcome is what of an end does not change from run to run.
func outcome(e build.Ended) []string {
	var words []string
	for _, p := range e.Phases {
		word := p.Name + " ok"
		if p.Failure != nil {
			word = fmt.Sprintf("%s failed: %s: %d", p.Name, p.Failure.Command, p.Failure.Exit)
		}
		words = append(words, word)
	}
	return words
}

func (s suite) commands(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		build   func(*build.Build)
		printed []string
	}{
		"share one shell through all phases": {func(b *build.Build) {
			b.Phases = []build.Phase{
				{Name: "install", Commands: []string{"mkdir -p a/b", "cd a", "here=1; export there=2", "greet() { echo hello $1; }"}},
				{Name: "build", Commands: []string{"cd b", `echo "${PWD#"$CODEBUILD_SRC_DIR"} $here $there"`, "greet you", "false || true"}},
			}
		}, []string{"/a/b 1 2", "hello you"}},
		"have a shell each in version 0.1": {func(b *build.Build) {
			b.Separate = true
			b.Phases[0].Commands = []string{"mkdir a; cd a; export here=1", `echo "${PWD#"$CODEBUILD_SRC_DIR"}-$here"`}
		}, []string{"-"}},
		"go on after exit 0, with the exported variables and the directory": {func(b *build.Build) {
			b.Phases[0].Commands = []string{"mkdir a; cd a; export here=\"it's\"; exit 0", `echo "${PWD#"$CODEBUILD_SRC_DIR"} $here"`}
		}, []string{"/a it's"}},
		"may be scripts of several lines": {func(b *build.Build) {
			b.Phases[0].Commands = []string{"for i in 1 2; do\n  echo $i\ndone\n"}
		}, []string{"1", "2"}},
		"run in the shell that is named": {func(b *build.Build) {
			b.Shell = "bash"
			b.Phases[0].Commands = []string{"x=(a b c); echo ${#x[@]}"}
		}, []string{"3"}},
		"read nothing from their input": {func(b *build.Build) {
			b.Phases[0].Commands = []string{"cat; echo end", "read x || echo nothing"}
		}, []string{"end", "nothing"}},
		"may switch tracing on": {func(b *build.Build) {
			b.Phases[0].Commands = []string{"set +x -u", "echo $((1+1))"}
		}, []string{"2"}},
		"see the signals that programs expect": {func(b *build.Build) {
			b.Phases[0].Commands = []string{"yes | head -n 1", "echo $?"}
		}, []string{"y", "0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := New(t)
			c.build(&b)
			ended := s.run(t, b)
			if p, failed := ended.Failed(); failed {
				t.Errorf("phase %s failed: %+v", p.Name, p.Failure)
			}
			if diff := cmp.Diff(c.printed, printed(t, b)); diff != "" {
				t.Error("printed (-want +got)\n", diff)
			}
		})
	}
	t.Run("tell the values of variables at the end", func(t *testing.T) {
		t.Parallel()
		b := New(t, "export VERSION=1.2 ; plain='a  b'", "printf 'x\\ny' > f; LINES2=$(cat f)", "cd /")
		b.Exported = []string{"VERSION", "plain", "LINES2", "unset"}
		b.Expand = []string{"web-$VERSION", "", `$(echo "$plain")`, `"quoted"`}
		ended := s.run(t, b)
		if diff := cmp.Diff(map[string]string{"VERSION": "1.2", "plain": "a  b", "LINES2": "x\ny", "unset": ""}, ended.Exported); diff != "" {
			t.Error("exported (-want +got)\n", diff)
		}
		if diff := cmp.Diff([]string{"web-1.2", "", "a  b", `"quoted"`}, ended.Expanded); diff != "" {
			t.Error("expanded (-want +got)\n", diff)
		}
	})
}

func (s suite) failures(t *testing.T) {
	t.Parallel()
	all := func(fail string, goOn bool) func(*build.Build) {
		return func(b *build.Build) {
			b.Phases = nil
			for _, name := range []string{"install", "build", "post_build"} {
				p := build.Phase{Name: name, Commands: []string{"echo " + name}, Finally: []string{"echo finally " + name + " $CODEBUILD_BUILD_SUCCEEDING"}}
				if name == fail {
					p.Commands = []string{"echo " + name, "(exit 3)", "echo not this"}
					p.GoOn = goOn
				}
				b.Phases = append(b.Phases, p)
			}
			b.Env = map[string]string{"CODEBUILD_BUILD_SUCCEEDING": "1"}
		}
	}
	one := func(commands ...string) func(*build.Build) {
		return func(b *build.Build) { b.Phases[0].Commands = commands }
	}
	for name, c := range map[string]struct {
		build   func(*build.Build)
		outcome []string
		printed []string
	}{
		"runs no other phase": {
			all("install", false), []string{"install failed: (exit 3): 3"},
			[]string{"install", "finally install 1"},
		},
		"runs the next phase when it may": {
			all("build", true), []string{"install ok", "build failed: (exit 3): 3", "post_build ok"},
			[]string{"install", "finally install 1", "build", "finally build 1", "post_build", "finally post_build 0"},
		},
		"fails by a command that ends the shell": {one("exit 4"), []string{"build failed: exit 4: 4"}, []string{}},
		"fails by set -e":                        {one("set -e", "false; echo no"), []string{"build failed: false; echo no: 1"}, []string{}},
		"fails by the shell's end": {
			one("kill -9 $$", "echo no"), []string{"build failed: kill -9 $$: 137"}, []string{},
		},
		"counts the last command of a script": {one("false\necho ok"), []string{"build ok"}, []string{"ok"}},
		"fails by its finally": {func(b *build.Build) { b.Phases[0].Finally = []string{"(exit 5)"} },
			[]string{"build failed: (exit 5): 5"}, []string{}},
		"goes on in a new shell after one was ended": {func(b *build.Build) {
			b.Phases[0] = build.Phase{Name: "build", GoOn: true, Commands: []string{"export x=1", "exit 9"}, Finally: []string{"echo finally $x"}}
			b.Phases = append(b.Phases, build.Phase{Name: "post_build", Commands: []string{"echo post $x"}})
		}, []string{"build failed: exit 9: 9", "post_build ok"}, []string{"finally 1", "post 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := New(t)
			c.build(&b)
			ended := s.run(t, b)
			if diff := cmp.Diff(c.outcome, outcome(ended)); diff != "" {
				t.Error("outcome (-want +got)\n", diff)
			}
			if diff := cmp.Diff(c.printed, printed(t, b)); diff != "" {
				t.Error("printed (-want +got)\n", diff)
			}
		})
	}
	s.failureTexts(t)
}

// failureTexts are what a failure tells besides its place.
func (s suite) failureTexts(t *testing.T) {
	t.Helper()
	t.Run("fails by a command that no shell understands", func(t *testing.T) {
		t.Parallel()
		b := New(t, "if then", "echo no")
		if p, failed := s.run(t, b).Failed(); !failed || p.Failure.Exit == 0 || len(p.Failure.Tail) == 0 {
			t.Errorf("got %+v", p)
		}
	})
	t.Run("tells its last lines", func(t *testing.T) {
		t.Parallel()
		b := New(t, "echo before", "seq 1 100; echo the reason >&2; printf 'no newline'; exit 1")
		p, _ := s.run(t, b).Failed()
		if p.Failure == nil || len(p.Failure.Tail) < 3 {
			t.Fatalf("got %+v", p)
		}
		if diff := cmp.Diff([]string{"100", "the reason", "no newline"}, p.Failure.Tail[len(p.Failure.Tail)-3:]); diff != "" {
			t.Error("(-want +got)\n", diff)
		}
	})
}

func (s suite) environment(t *testing.T) {
	t.Parallel()
	b := New(t,
		`test -z "$(ls -A "$HOME")" && test -w "$HOME" && echo home`,
		`test -w "$TMPDIR" && touch "$TMPDIR/x" && echo temp`,
		`test "$PWD" = "$CODEBUILD_SRC_DIR" && touch here && echo source`,
		`env | grep -c TOWLINE_TEST_SECRET`,
		`echo "$A $B $C $CI"`,
		`test -n "$GOCACHE" && mkdir -p "$GOCACHE" && echo cache`,
		`ulimit -c`,
	)
	b.Phases[0].Commands[3] += " || true"
	b.Env = map[string]string{"A": "a b", "B": "from the spec", "C": "from the spec", "CI": "true"}
	b.Override = map[string]string{"C": "from the action"}
	s.run(t, b)
	want := []string{"home", "temp", "source", "0", "a b from the spec from the action true", "cache", "0"}
	if diff := cmp.Diff(want, printed(t, b)); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}

func (s suite) log(t *testing.T) {
	t.Parallel()
	b := New(t,
		"for i in $(seq 1 50); do echo out $i; echo err $i >&2; done",
		"printf 'half a line'",
		"seq 1 20000",
		"echo last",
	)
	s.run(t, b)
	want := []string{"[build] $ for i in $(seq 1 50); do echo out $i; echo err $i >&2; done"}
	for i := range 50 {
		want = append(want, fmt.Sprintf("out %d", i+1), fmt.Sprintf("err %d", i+1))
	}
	want = append(want, "[build] $ printf 'half a line'", "half a line", "[build] $ seq 1 20000")
	for i := range 20000 {
		want = append(want, fmt.Sprint(i+1))
	}
	want = append(want, "[build] $ echo last", "last")
	got := Lines(t, b)
	for len(got) > 0 && !strings.HasPrefix(got[0], "[") {
		got = got[1:]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}

// holder starts processes that are hard to end, and says so in the log: one
// that ignores SIGTERM, one in a session of its own, one without parent, and
// one whose environment is empty.
const holder = `sh -c 'trap "" TERM; echo $$ > a; while :; do sleep 1000; done' &
setsid sh -c 'trap "" TERM HUP; echo $$ > b; while :; do sleep 1000; done' &
(setsid sleep 1000 & echo $! > c)
env -i setsid sh -c 'echo $$ > d; exec sleep 1000' &
while ! { [ -s a ] && [ -s b ] && [ -s c ] && [ -s d ]; }; do sleep 0.01; done
readlink /proc/self/ns/pid > ns
echo holding`

// waitFor waits until the log of the build has a line.
func waitFor(t *testing.T, b build.Build, line string) {
	t.Helper()
	found := errors.New("found")
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	err := report.Follow(ctx, b.LogFile, 0, func() bool { return false }, func(l report.Line) error {
		if l.Text == line {
			return found
		}
		return nil
	})
	if !errors.Is(err, found) {
		t.Fatalf("line %q did not come: %v\n%s", line, err, strings.Join(Lines(t, b), "\n"))
	}
}

// Leftovers are the processes of this machine whose command line or environment
// names the word.
func Leftovers(t *testing.T, word string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range files {
		environ, _ := os.ReadFile(f)
		args, _ := os.ReadFile(filepath.Join(filepath.Dir(f), "cmdline"))
		if strings.Contains(string(environ), word) || strings.Contains(string(args), word) {
			found = append(found, f+": "+strings.ReplaceAll(string(args), "\x00", " "))
		}
	}
	return found
}

// Touch makes a file where the commands of a running build are, wherever that is.
func Touch(t *testing.T, b build.Build, name string) {
	t.Helper()
	for _, pid := range marked(t, b) {
		if os.WriteFile(filepath.Join("/proc", pid, "cwd", name), nil, 0o666) == nil { //nolint:gosec // the build's user reads it
			return
		}
	}
	t.Fatal("the build has no process to be found here")
}

// waitGone waits until the commands of a build have ended.
func waitGone(t *testing.T, b build.Build) {
	t.Helper()
	for deadline := time.Now().Add(within); len(marked(t, b)) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the build does not end")
		}
	}
}

// marked are the process IDs of the commands of a build.
func marked(t *testing.T, b build.Build) []string {
	t.Helper()
	var pids []string
	for _, found := range Leftovers(t, mark(b)) {
		pids = append(pids, strings.Split(found, "/")[2])
	}
	return pids
}

// gone fails when a process of the build lives, or a part of its databases.
func (s suite) gone(t *testing.T, b build.Build) {
	t.Helper()
	// The suite's own process has the word in nobody's environment but the
	// build's: New gives each build a directory of its own.
	if left := Leftovers(t, mark(b)); len(left) > 0 {
		t.Errorf("processes are left:\n%s", strings.Join(left, "\n"))
	}
	port, err := os.ReadFile(filepath.Join(b.Source, "port"))
	if err != nil || s.elsewhere {
		return // a build without a database, or one that cannot be reached from here
	}
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strings.TrimSpace(string(port))))
	if err == nil {
		_ = conn.Close()
		t.Error("the database still listens")
	}
}

// mark is in the environment of all processes of a build that withMark has
// given it to.
func mark(b build.Build) string { return "TOWLINE_TEST_BUILD=" + b.Dir }

func withMark(b build.Build) build.Build {
	b.Override = map[string]string{"TOWLINE_TEST_BUILD": b.Dir}
	return b
}

func (s suite) timeout(t *testing.T) {
	t.Parallel()
	b := withMark(New(t, holder, "sleep 1000"))
	b.Phases[0].GoOn = true
	b.Phases = append(b.Phases, build.Phase{Name: "post_build", Commands: []string{"echo no"}})
	b.Timeout = 2 * time.Second
	ended := s.run(t, b)
	if ended.TimedOut != "build" || len(ended.Phases) > 0 {
		t.Errorf("got %+v", ended)
	}
	s.gone(t, b)
}

func (s suite) stop(t *testing.T) {
	t.Parallel()
	b := withMark(New(t, "echo $PGPORT > port", holder, "trap 'echo cleaning up; exit 1' TERM; echo here; sleep 1000 & wait"))
	b.Services = []build.Service{{Name: "db", Engine: "postgres"}}
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped by somebody")
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := s.backend.Run(ctx, b); !errors.Is(err, stopped) {
			t.Errorf("Run returned %v", err)
		}
	})
	waitFor(t, b, "here")
	cancel(stopped)
	wg.Wait()
	s.gone(t, b)
	if lines := printed(t, b); lines[len(lines)-1] != "cleaning up" {
		t.Errorf("the commands had no time to clean up; the log ends with %q", lines[len(lines)-1])
	}
}

func (s suite) shutdown(t *testing.T) {
	t.Parallel()
	b := withMark(New(t, "echo run >> count", "echo one", "while [ ! -e go ]; do sleep 0.01; done", "echo two", "cat count"))
	b.Exported = []string{"TOWLINE_TEST_BUILD"}
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := s.backend.Run(ctx, b)
		done <- err
	}()
	waitFor(t, b, "one")
	cancel(fmt.Errorf("upgrade: %w", pipeline.ErrShutdown))
	if err := <-done; !errors.Is(err, pipeline.ErrShutdown) {
		t.Fatalf("Run returned %v", err)
	}
	// The build waits in a loop of its own; while nobody is there it must go on.
	Touch(t, b, "go")
	waitGone(t, b)
	for range 2 { // and once more, after it has ended
		ended := s.run(t, b)
		if diff := cmp.Diff([]string{"build ok"}, outcome(ended)); diff != "" {
			t.Error("(-want +got)\n", diff)
		}
		if ended.Exported["TOWLINE_TEST_BUILD"] != b.Dir {
			t.Error("the exported variable is lost")
		}
	}
	if diff := cmp.Diff([]string{"one", "two", "run"}, printed(t, b)); diff != "" {
		t.Error("printed (-want +got)\n", diff)
	}
	s.gone(t, b)
}

func (s suite) background(t *testing.T) {
	t.Parallel()
	b := withMark(New(t, holder))
	b.Phases = append(b.Phases, build.Phase{Name: "post_build", Commands: []string{"kill -0 $(cat a) && echo lives"}})
	s.run(t, b)
	if diff := cmp.Diff([]string{"holding", "lives"}, printed(t, b)); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
	s.gone(t, b)
}

func (s suite) database(t *testing.T) {
	t.Parallel()
	b := withMark(New(t,
		`psql -XAtc "select current_database() || ' ' || count(*) from pg_tables where schemaname = 'public'"`,
		`psql -XAtq "$DATABASE_URL" -c "create table t (x text); insert into t values ('é'); select upper(x) from t"`,
		`PGPASSWORD=wrong psql -XAtc "select 'let in'" 2>/dev/null || echo refused`,
		`psql -XAtqc "create database other" && PGDATABASE=other psql -XAtc "select 1"`,
		`echo "the password is $PGPASSWORD" "$DATABASE_URL"`,
		`echo "${CACHE_PGPORT:+two} $([ "$MAIN_PGPORT" = "$PGPORT" ] && echo first) $([ "$CACHE_PGPORT" != "$PGPORT" ] && echo other)"`,
		`psql -XAtc 'select nonsense'; true`,
		`echo $PGPORT > port`,
	))
	b.Services = []build.Service{{Name: "main", Engine: "postgres"}, {Name: "cache", Engine: "postgres"}}
	b.Exported = []string{"PGPASSWORD", "PGPORT"}
	ended := s.run(t, b)
	password, port := ended.Exported["PGPASSWORD"], ended.Exported["PGPORT"]
	got := printed(t, b)
	want := []string{
		"build 0", "É", "refused", "1",
		"the password is *** postgres://build:***@127.0.0.1:" + port + "/build?sslmode=disable",
		"two first other",
		`ERROR:  column "nonsense" does not exist`,
	}
	if len(got) > len(want) {
		got = got[:len(want)]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
	if log := strings.Join(Lines(t, b), "\n"); strings.Contains(log, password) || len(password) < 20 {
		t.Error("the password is in the log, or it is short")
	}
	if len(ended.Services) != 2 || !strings.HasPrefix(ended.Services[0], "PostgreSQL ") {
		t.Errorf("services are %q", ended.Services)
	}
	s.gone(t, b)
}

func (s suite) twoDatabases(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			b := withMark(New(t, `psql -XAtqc "create table t (x int)"`, `for i in $(seq 20); do psql -XAtqc "insert into t values ($i)"; done`, `psql -XAtc "select count(*) from t"`))
			b.Services = []build.Service{{Name: "db", Engine: "postgres"}}
			ended, err := s.backend.Run(t.Context(), b)
			if p, failed := ended.Failed(); err != nil || failed {
				t.Error(err, p.Failure)
			}
			if diff := cmp.Diff([]string{"20"}, printed(t, b)); diff != "" {
				t.Error("(-want +got)\n", diff)
			}
			s.gone(t, b)
		})
	}
	wg.Wait()
}

func (s suite) noShell(t *testing.T) {
	t.Parallel()
	b := New(t, "echo")
	b.Shell = "no-such-shell"
	if _, err := s.backend.Run(t.Context(), b); err == nil || !strings.Contains(err.Error(), "no-such-shell") {
		t.Errorf("got %v", err)
	}
}
