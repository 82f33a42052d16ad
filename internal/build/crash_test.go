package build_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/build/buildtest"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

// variants are the ways in which a root runs builds; an ordinary user's is that
// without namespaces but for the name of the user.
var variants = map[string]bool{"in namespaces": false, "without namespaces": true}

// server starts a process that runs the order, as a server would.
func (o order) server(t *testing.T, prefix ...string) (cmd *exec.Cmd, out *bytes.Buffer) {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	args := append(slices.Clip(prefix), os.Args[0], serverCommand, string(text))
	cmd = exec.CommandContext(t.Context(), args[0], args[1:]...)
	out = &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

func (o order) logs(t *testing.T, line string) func() bool {
	return func() bool { return strings.Contains("\n"+logOf(t, o), "\n"+line+"\n") }
}

// runnerOf is the process that runs the build.
func (o order) runnerOf(t *testing.T) (pid int) {
	t.Helper()
	var record struct{ PID int }
	text, err := os.ReadFile(filepath.Join(o.Job.Dir, "runner.json"))
	if err == nil {
		err = json.Unmarshal(text, &record)
	}
	if err != nil || record.PID == 0 {
		t.Fatalf("runner.json is %q: %v", text, err)
	}
	return record.PID
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// nothingLeft fails when a process of the build lives or its database listens.
func (o order) nothingLeft(t *testing.T, port string) {
	t.Helper()
	if left := buildtest.Leftovers(t, o.Job.Dir); len(left) > 0 {
		t.Errorf("processes are left:\n%s", strings.Join(left, "\n"))
	}
	if conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
		_ = conn.Close()
		t.Error("the database still listens")
	}
	if _, err := os.Stat(filepath.Join(o.Job.Dir, "box")); err == nil {
		t.Error("temporary files of the build are left")
	}
}

func TestABuildOutlivesItsServer(t *testing.T) {
	t.Parallel()
	for name, plain := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrder(t, map[string]string{"tests.xml": junit}, pipeline.Build{
				Commands: []string{
					"echo began >> count; psql -XAtqc 'create table t (x int)'",
					"for i in $(seq 30); do echo line $i; psql -XAtqc \"insert into t values ($i)\"; done",
					"while [ ! -e go ]; do sleep 0.01; done; for i in $(seq 31 20000); do echo line $i; done",
					"psql -XAtc 'select count(*), count(distinct x) from t'; cat count; echo $PGPORT > port",
				},
				Services:  map[string]pipeline.Service{"db": {Engine: "postgres"}},
				Artifacts: []string{"port"}, Reports: []string{"tests.xml"},
			})
			o.Plain = plain
			server, _ := o.server(t)
			waittest.Until(t, "line 5", o.logs(t, "line 5"))
			kill(t, server.Process.Pid)
			_ = server.Wait()
			waittest.Until(t, "line 30 while no server lives", o.logs(t, "line 30"))
			server, out := o.server(t)
			if err := os.WriteFile(filepath.Join(o.Job.Dir, "src", "go"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := server.Wait(); err != nil {
				t.Fatal(err, logOf(t, o))
			}
			var result pipeline.Result
			if err := json.Unmarshal(out.Bytes(), &result); err != nil || result.Outcome != pipeline.Succeeded || len(result.Artifacts) != 1 || result.Tests == nil {
				t.Fatalf("%v: %s", err, out)
			}
			var lines []string
			for l := range strings.SplitSeq(logOf(t, o), "\n") {
				if strings.HasPrefix(l, "line ") || l == "began" || l == "30|30" {
					lines = append(lines, l)
				}
			}
			var want []string
			for i := range 20000 {
				want = append(want, fmt.Sprintf("line %d", i+1))
			}
			if diff := cmp.Diff(append(want, "30|30", "began"), lines); diff != "" {
				t.Error("lines (-want +got)\n", diff)
			}
			o.nothingLeft(t, strings.TrimSpace(contents(t, o.Store, result.Artifacts[0])["port"]))
		})
	}
}

func TestALostBuildIsRunOnceMoreFromACleanDirectory(t *testing.T) {
	t.Parallel()
	for name, plain := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrder(t, map[string]string{"kept": "as it was"}, pipeline.Build{
				Commands: []string{
					"cat kept; ls; echo changed > kept; touch new; echo $PGPORT > port",
					"setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 1; done' & sleep 1000 & echo waiting",
					`while [ -z "$(ls "$XDG_CACHE_HOME/go" 2>/dev/null)" ]; do sleep 0.01; done`,
					"echo done",
				},
				Services: map[string]pipeline.Service{"db": {Engine: "postgres"}},
				Env:      map[string]string{"TOWLINE_TEST_BUILD": "see below"},
			})
			o.Plain = plain
			o.Job.Configuration = bytes.Replace(o.Job.Configuration, []byte("see below"), []byte(o.Job.Dir), 1)
			server, out := o.server(t)
			waittest.Until(t, "the build is waiting", o.logs(t, "waiting"))
			port, err := os.ReadFile(filepath.Join(o.Job.Dir, "src", "port"))
			if err != nil {
				t.Fatal(err)
			}
			first := o.runnerOf(t)
			kill(t, first)
			again := "host backend: the process that ran this build has died (killed, or the machine was restarted); the build begins again"
			waittest.Until(t, again, o.logs(t, again))
			if conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strings.TrimSpace(string(port)))); err == nil {
				_ = conn.Close()
				t.Error("the first run's database still listens")
			}
			if err := os.MkdirAll(filepath.Join(o.Cache, "pipelines", "web", "go", "x"), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := server.Wait(); err != nil {
				t.Fatal(err, logOf(t, o))
			}
			if !strings.Contains(out.String(), `"Succeeded"`) || strings.Count(logOf(t, o), "\nas it waskept\n") != 2 {
				t.Errorf("%s\n%s", out, logOf(t, o))
			}
			o.nothingLeft(t, strings.TrimSpace(string(port)))
		})
	}
}

func TestABuildThatIsLostTwiceIsAFault(t *testing.T) {
	t.Parallel()
	for name, plain := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrder(t, nil, pipeline.Build{
				Commands: []string{"echo waiting; sleep 1000"},
				Services: map[string]pipeline.Service{"db": {Engine: "postgres"}},
				Env:      map[string]string{"TOWLINE_TEST_BUILD": "see below"},
			})
			o.Plain = plain
			o.Job.Configuration = bytes.Replace(o.Job.Configuration, []byte("see below"), []byte(o.Job.Dir), 1)
			done := make(chan error, 1)
			go func() {
				_, err := o.run(t.Context())
				done <- err
			}()
			for n := range 2 {
				waittest.Until(t, "the build is waiting", func() bool { return strings.Count(logOf(t, o), "\nwaiting\n") == n+1 })
				kill(t, o.runnerOf(t))
			}
			if err := <-done; err == nil || !strings.Contains(err.Error(), "2 times without a result") {
				t.Errorf("got %v", err)
			}
			o.nothingLeft(t, "1")
		})
	}
}

// A runner that cannot be started must not be tried for ever.
func TestWithoutTheRightToNamespacesBuildsRunAsNobody(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // an ordinary user's builds run as that user
	}
	o := newOrder(t, nil, pipeline.Build{
		Commands: []string{"id -u", "psql -XAtc 'select 42'"},
		Services: map[string]pipeline.Service{"db": {Engine: "postgres"}},
	})
	server, out := o.server(t, "setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
	if err := server.Wait(); err != nil {
		t.Fatal(err, logOf(t, o))
	}
	if log := logOf(t, o); !strings.Contains(out.String(), `"Succeeded"`) || !strings.Contains(log, "\n65534\n") || !strings.Contains(log, "\n42\n") {
		t.Errorf("%s\n%s", out, log)
	}
}

func TestABuildCannotReachWhatIsTowlines(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		return // an ordinary user's builds are that user
	}
	o := newOrder(t, nil, pipeline.Build{Commands: []string{
		`for f in "$JOB/plan.json" "$JOB/runner-in.json" "$JOB/runner.lock" "$CACHES/pipelines/other/secret" "$CACHES"/postgres/*/PG_VERSION /etc/shadow \
			"$CODEBUILD_SRC_DIR"/../own/job/plan.json "$CODEBUILD_SRC_DIR"/../own/action.log "$CODEBUILD_SRC_DIR"/../own/templates/*/PG_VERSION; do
			cat "$f" >/dev/null 2>&1 && echo "could read $f"
		done; true`,
		`for f in "$JOB/result.json" "$CODEBUILD_SRC_DIR"/../control/1.sh "$CODEBUILD_SRC_DIR"/../control/new /etc/passwd; do
			( : >> "$f" ) 2>/dev/null && echo "could write $f"
		done; true`,
		`kill -9 1 $PPID 2>/dev/null && echo could kill the runner; true`,
		`grep -q 'NoNewPrivs:.*1' /proc/self/status || echo could get more rights by a setuid program`,
		`echo "$(whoami) $(id -u) sees [$(ls -A /tmp | grep -v towline-db)] and $(ls -d /proc/[0-9]* | wc -l) processes"`,
		`psql -XAtc "select 'still there'"`,
	}, Services: map[string]pipeline.Service{"db": {Engine: "postgres"}}})
	// Not below /tmp, which the build has for itself.
	dir, err := os.MkdirTemp("/var/tmp", "towline-test-") //nolint:usetesting // t.TempDir is below /tmp
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	o.Job.Dir, o.Cache = filepath.Join(dir, "job"), filepath.Join(dir, "cache")
	secret := filepath.Join(o.Cache, "pipelines", "other", "secret")
	if err := errors.Join(os.Chmod(dir, 0o711), os.Mkdir(o.Job.Dir, 0o711), os.MkdirAll(filepath.Dir(secret), 0o700), os.WriteFile(secret, []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	o.Job.Configuration = bytes.Replace(o.Job.Configuration, []byte(`{`), fmt.Appendf(nil, `{"env":{"JOB":%q,"CACHES":%q},`, o.Job.Dir, o.Cache), 1)
	got := run(t, o)
	log := logOf(t, o)
	if got.Outcome != pipeline.Succeeded || strings.Contains(log, "\ncould ") ||
		!strings.Contains(log, "\nbuild 64200 sees [] and ") || !strings.Contains(log, "\nstill there\n") {
		t.Errorf("%+v\n%s", got, log)
	}
}

// BenchmarkBuild measures what a build costs beyond its commands, and what a
// database adds. The commands do nothing.
