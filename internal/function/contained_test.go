package function_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/towline/towline/internal/box"
	"github.com/towline/towline/internal/function"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/waittest"
)

// script is a function whose bootstrap is a shell script.
func (m *machine) script(t *testing.T, text string) function.Function {
	t.Helper()
	return m.put(t, "provided.al2023", "", files{"bootstrap!": "#!/bin/sh\n" + text})
}

// python is a function with the body of a handler.
func (m *machine) python(t *testing.T, body string) function.Function {
	t.Helper()
	need(t, "python3", "python3")
	return m.put(t, "python3.x", "app.handler", files{
		"app.py": "import os, subprocess, sys, time\ndef handler(event, context):\n    " + strings.ReplaceAll(strings.TrimSpace(body), "\n", "\n    ") + "\n",
	})
}

// both runs a test with and without namespaces.
func both(t *testing.T, test func(t *testing.T, m *machine)) {
	for name, plain := range map[string]bool{"in a box": false, "without a box": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, setup(t, func(c *function.Config) { c.Plain = plain }))
		})
	}
}

// lives tells whether a process whose command line has a word lives.
func lives(t *testing.T, word string) bool {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), word) {
			return true
		}
	}
	return false
}

func TestAFunctionThatTakesTooLongIsEndedWithItsChildren(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, m *machine) {
		word := "98" + strconv.FormatInt(time.Now().UnixNano()%1e9, 10)
		f := m.python(t, "subprocess.Popen(['sleep', '"+word+"'])\nprint('begun', flush=True)\ntime.sleep(600)")
		f.Timeout = time.Second
		fails(t, m, f, `{}`, function.ErrorTimeout, "Task timed out after 1.00 seconds")
		if lives(t, word) {
			t.Error("its child lives on")
		}
	})
}

func TestNothingOfAFunctionOutlivesIt(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, m *machine) {
		word := "97" + strconv.FormatInt(time.Now().UnixNano()%1e9, 10)
		f := m.python(t, "subprocess.Popen(['sleep', '"+word+"'], start_new_session=True)\nreturn {'left': True}")
		answers(t, m, f, `{}`)
		if lives(t, word) {
			t.Error("a process that left its group lives on")
		}
	})
}

func TestAFunctionThatUsesTooMuchIsEnded(t *testing.T) {
	t.Parallel()
	m := setup(t)
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		f := m.python(t, "kept = []\nwhile True:\n    kept.append(bytearray(b'x' * (4 << 20)))\n    time.sleep(0.01)")
		f.Memory = 128
		outcome, _ := m.invoke(t, f, `{}`)
		if outcome.Error == nil || outcome.Error.Type != function.ErrorMemory || outcome.Memory < 100<<20 {
			t.Errorf("%v, %d bytes", outcome.Error, outcome.Memory)
		}
	})
	t.Run("shared memory", func(t *testing.T) {
		t.Parallel()
		f := m.python(t, "import mmap\nkept = mmap.mmap(-1, 512 << 20)\nfor n in range(0, 512 << 20, 4096):\n    kept[n] = 1\ntime.sleep(600)")
		f.Memory, f.Timeout = 128, time.Minute
		outcome, _ := m.invoke(t, f, `{}`)
		if outcome.Error == nil || outcome.Error.Type != function.ErrorMemory {
			t.Errorf("%v, %d bytes", outcome.Error, outcome.Memory)
		}
	})
	t.Run("disk", func(t *testing.T) {
		t.Parallel()
		f := m.python(t, "for n in range(12):\n    with open('/tmp/%d' % n, 'wb') as file:\n        os.posix_fallocate(file.fileno(), 0, 64 << 20)\ntime.sleep(600)")
		fails(t, m, f, `{}`, function.ErrorDisk, "/tmp")
	})
	t.Run("processes", func(t *testing.T) {
		t.Parallel()
		f := m.script(t, "f() { f | f & }; f; sleep 600\n")
		f.Timeout = time.Second
		outcome, _ := m.invoke(t, f, `{}`)
		if outcome.Error == nil {
			t.Error("a fork bomb went well")
		}
	})
	t.Run("processes without a user of one's own", func(t *testing.T) {
		t.Parallel()
		m := setup(t, func(c *function.Config) { c.Plain, c.Processes = true, 100 })
		fails(t, m, m.script(t, "exec 2> /dev/null; (i=0; while [ $i -lt 1000 ]; do sleep 600 & i=$((i+1)); done); sleep 600\n"), `{}`, function.ErrorProcesses, "it may have 100")
	})
	t.Run("words", func(t *testing.T) {
		t.Parallel()
		f := m.python(t, "for n in range(80):\n    os.write(1, b'x' * (1 << 20) + b'\\n')\nreturn {}")
		outcome, log := m.invoke(t, f, `{}`)
		if outcome.Error != nil || len(log) > 70<<20 || !strings.Contains(log, "the rest is left out") || len(outcome.Tail) != 20 || len(outcome.Tail[19]) > 2000 {
			t.Errorf("%v, a log of %d bytes, a tail of %d lines", outcome.Error, len(log), len(outcome.Tail))
		}
	})
}

func TestAFunctionThatEndsWithoutAnAnswerHasFailed(t *testing.T) {
	t.Parallel()
	m := setup(t)
	fails(t, m, m.python(t, "print('goes', flush=True)\nos._exit(3)"), `{}`, function.ErrorExit, "exit status 3")
	fails(t, m, m.script(t, "exit 0\n"), `{}`, function.ErrorExit, "without providing a reason")
	fails(t, m, m.python(t, "return 'x' * (7 << 20)"), `{}`, function.ErrorTooLarge, "6291456")
}

// The tests below need root, under which Towline runs functions as users of
// their own.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root: run it as make test does")
	}
}

func TestAFunctionReachesNothingOfOthers(t *testing.T) {
	t.Parallel()
	needRoot(t)
	m := setup(t)
	if err := os.WriteFile("/tmp/towline-of-others", []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove("/tmp/towline-of-others") })
	f := m.python(t, `
def read(path):
    try:
        return os.listdir(path) if os.path.isdir(path) else open(path).read()
    except OSError as error:
        return type(error).__name__
def write(path):
    try:
        open(path, "w").close()
        return "written"
    except OSError as error:
        return type(error).__name__
return {
    "root": os.getuid() == 0, "temp": os.listdir("/tmp"), "code": read(event["dir"] + "/functions/code"), "log": read(event["dir"]),
    "task": write(os.environ["LAMBDA_TASK_ROOT"] + "/app.py"), "mine": write("/tmp/mine"), "processes": len([p for p in os.listdir("/proc") if p.isdigit()]) < 5,
    "lock": read("/run/towline/function/../../runner.lock"), "key": os.environ.get("AWS_ACCESS_KEY_ID"),
}`)
	got := answers(t, m, f, `{"dir": "`+m.dir+`"}`)
	for what, want := range map[string]any{"root": false, "code": "FileNotFoundError", "log": "FileNotFoundError", "task": "OSError", "mine": "written", "processes": true, "lock": "FileNotFoundError", "key": nil} {
		if got[what] != want {
			t.Errorf("%s: %v, want %v", what, got[what], want)
		}
	}
	if temp, ok := got["temp"].([]any); !ok || len(temp) != 0 {
		t.Errorf("its /tmp has %v", got["temp"])
	}
}

func TestAFunctionLeavesNothingToTheNextOfItsSlot(t *testing.T) {
	t.Parallel()
	needRoot(t)
	m := setup(t, func(c *function.Config) { c.Slots = 1 })
	name := "towline-" + function.NewID()
	leave := m.python(t, `
left = []
for dir in event["dirs"]:
    with open(dir + "/" + event["name"], "w") as file:
        file.write("mine")
    left.append(dir)
return {"left": left}`)
	look := m.python(t, `return {"found": [dir for dir in event["dirs"] if os.path.exists(dir + "/" + event["name"])]}`)
	dirs := []string{"/tmp", "/var/tmp", "/dev/shm"}
	if _, err := os.Stat("/run/lock"); err == nil {
		dirs = append(dirs, "/run/lock")
	}
	for _, dir := range dirs {
		t.Cleanup(func() { _ = os.Remove(filepath.Join(dir, name)) })
	}
	event := `{"dirs": ["` + strings.Join(dirs, `", "`) + `"], "name": "` + name + `"}`
	if left, ok := answers(t, m, leave, event)["left"].([]any); !ok || len(left) != len(dirs) {
		t.Errorf("it wrote to %v, want %v", left, dirs)
	}
	if found, ok := answers(t, m, look, event)["found"].([]any); !ok || len(found) != 0 {
		t.Errorf("the next one finds what it left in %v", found)
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("it is in the machine's %s: %v", dir, err)
		}
	}
	full := m.python(t, `
with open("/dev/shm/large", "wb") as file:
    for n in range(128):
        file.write(b"x" * (1 << 20))
return {}`)
	fails(t, m, full, `{}`, "OSError", "No space left")
}

func TestTheRuntimeAPIAnswersItsFunctionAlone(t *testing.T) {
	t.Parallel()
	needRoot(t)
	both(t, func(t *testing.T, m *machine) {
		f := m.python(t, "print('api', os.environ['AWS_LAMBDA_RUNTIME_API'], flush=True)\nwhile not os.path.exists('/proc/none'):\n    time.sleep(0.05)")
		in := m.invocation(t, f, `{}`)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := m.Invoke(ctx, in)
			ended <- err
		}()
		address := waitFor(t, in, regexp.MustCompile(`api (\S+)`))
		for _, path := range []string{"invocation/next", "init/error"} {
			method := http.MethodGet
			if path == "init/error" {
				method = http.MethodPost
			}
			request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+"/2018-06-01/runtime/"+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != http.StatusForbidden {
				t.Errorf("%s: another user is answered %s", path, response.Status)
			}
		}
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// waitFor waits until the log of an invocation has a line, and returns the
// first group of it.
func waitFor(t *testing.T, in function.Invocation, line *regexp.Regexp) (group string) {
	t.Helper()
	waittest.Until(t, "the log has "+line.String(), func() bool {
		text, err := os.ReadFile(in.LogFiles[0])
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		found := line.FindSubmatch(text)
		if found != nil {
			group = string(found[len(found)-1])
		}
		return found != nil
	})
	return group
}

func TestAnInvocationOutlivesTheServer(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, m *machine) {
		f := m.python(t, "print('pid', os.getpid(), flush=True)\nwhile not os.path.exists(event['go']):\n    time.sleep(0.02)\nreturn {'went': True}")
		gate := filepath.Join(t.TempDir(), "go")
		openTo(t, filepath.Dir(gate))
		seen := gate
		if !plainTemp(t, m) {
			seen = "/tmp/go" // what a box shows
		}
		in := m.invocation(t, f, `{"go": "`+seen+`"}`)
		if seen != gate {
			gate = filepath.Join(in.Dir, "box", "tmp", "go")
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := m.Invoke(ctx, in)
			ended <- err
		}()
		waitFor(t, in, regexp.MustCompile(`pid`))
		cancel(pipeline.ErrShutdown)
		if err := <-ended; !errors.Is(err, pipeline.ErrShutdown) {
			t.Fatal(err)
		}
		if !m.Begun(in.Dir) {
			t.Error("it is not known to have begun")
		}
		write(t, gate, "", 0o644)
		outcome, err := m.Invoke(t.Context(), function.Invocation{Dir: in.Dir})
		if err != nil || string(outcome.Payload) != `{"went":true}` {
			t.Fatal(err, outcome)
		}
		again, err := m.Invoke(t.Context(), function.Invocation{Dir: in.Dir})
		if err != nil || string(again.Payload) != `{"went":true}` {
			t.Error(err, again)
		}
		if log := logOf(t, in); strings.Count(log, "pid ") != 1 {
			t.Errorf("it was invoked more than once:\n%s", log)
		}
	})
}

// openTo lets every user pass.
func openTo(t *testing.T, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		for ; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// plainTemp tells whether functions see this machine's /tmp.
func plainTemp(t *testing.T, m *machine) bool {
	t.Helper()
	info, err := os.Stat(filepath.Join(m.dir, "functions", "code"))
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm() != 0o700
}

func TestALostRunnerIsTold(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, m *machine) {
		f := m.python(t, "print('begun', flush=True)\ntime.sleep(600)")
		in := m.invocation(t, f, `{}`)
		ended := make(chan function.Outcome, 1)
		go func() {
			outcome, err := m.Invoke(t.Context(), in)
			if err != nil {
				t.Error(err)
			}
			ended <- outcome
		}()
		waitFor(t, in, regexp.MustCompile(`begun`))
		runner, err := box.ReadRunner(in.Dir)
		if err == nil {
			err = syscall.Kill(runner.PID, syscall.SIGKILL)
		}
		if err != nil {
			t.Fatal(err)
		}
		if outcome := <-ended; outcome.Error == nil || outcome.Error.Type != function.ErrorLost {
			t.Error(outcome)
		}
	})
}

func TestAStoppedInvocationLeavesNothing(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, m *machine) {
		word := "96" + strconv.FormatInt(time.Now().UnixNano()%1e9, 10)
		f := m.script(t, "trap '' TERM\necho begun\nsleep "+word+" &\nsleep "+word+"\nsleep "+word+"\n")
		in := m.invocation(t, f, `{}`)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := m.Invoke(ctx, in)
			ended <- err
		}()
		waitFor(t, in, regexp.MustCompile(`begun`))
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		waittest.Until(t, "its processes are gone", func() bool { return !lives(t, word) })
		runner, err := box.ReadRunner(in.Dir)
		if err != nil || runner.PID == 0 {
			t.Fatal(runner, err)
		}
		if _, err := os.Stat("/proc/" + strconv.Itoa(runner.PID)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("its runner is left as a zombie: %v", err)
		}
	})
}

func TestASecretDoesNotGetIntoTheLog(t *testing.T) {
	t.Parallel()
	m := setup(t)
	f := m.python(t, "secret = os.environ['AWS_SECRET_ACCESS_KEY']\nos.write(1, secret[:9].encode())\ntime.sleep(0.1)\nos.write(1, secret[9:].encode() + b'\\n')\nimport base64\nos.write(1, base64.b64encode(secret.encode()) + b'\\n')\nreturn {'token': os.environ['AWS_SESSION_TOKEN']}")
	in := m.invocation(t, f, `{}`)
	in.Credentials = function.Credentials{AccessKeyID: "ASIA1234567890123456", SecretAccessKey: "very-secret-very-secret", SessionToken: "a-token-a-token"}
	outcome, err := m.Invoke(t.Context(), in)
	if err != nil || string(outcome.Payload) != `{"token":"a-token-a-token"}` {
		t.Fatal(err, outcome)
	}
	if log := logOf(t, in); strings.Contains(log, "very-secret") || !strings.Contains(log, "***") {
		t.Error(log)
	}
	for _, form := range []string{"very-secret", base64.StdEncoding.EncodeToString([]byte("very-secret-very-secret"))} {
		if strings.Contains(strings.Join(outcome.Tail, "\n"), form) {
			t.Error(outcome.Tail)
		}
	}
	if _, err := os.Stat(filepath.Join(in.Dir, "in.json")); !errors.Is(err, os.ErrNotExist) {
		t.Error("its credentials are left on the disk", err)
	}
}

func TestOnlySoManyRunAtATime(t *testing.T) {
	t.Parallel()
	m := setup(t, func(c *function.Config) { c.Slots, c.Plain = 1, true })
	turn := filepath.Join(t.TempDir(), "turns")
	openTo(t, filepath.Dir(turn))
	if err := errors.Join(os.Mkdir(turn, 0o700), os.Chmod(turn, 0o777)); err != nil {
		t.Fatal(err)
	}
	// Of two at once, one finds the other's directory.
	f := m.python(t, "os.mkdir(event['turn'])\ntime.sleep(0.1)\nos.rmdir(event['turn'])\nreturn {}")
	ended := make(chan error, 4)
	for range cap(ended) {
		in := m.invocation(t, f, `{"turn": "`+turn+`/mine"}`)
		go func() {
			outcome, err := m.Invoke(t.Context(), in)
			if outcome.Error != nil {
				err = outcome.Error
			}
			ended <- err
		}()
	}
	for range cap(ended) {
		if err := <-ended; err != nil {
			t.Error("with another at once:", err)
		}
	}
}

func TestAnInvocationThatWaitsForItsTurnCanBeStopped(t *testing.T) {
	t.Parallel()
	m := setup(t, func(c *function.Config) { c.Slots = 1 })
	f := m.script(t, "echo begun\nsleep 600\n")
	first, second := m.invocation(t, f, `{}`), m.invocation(t, f, `{}`)
	ended := make(chan error, 2)
	invoke := func(in function.Invocation) context.CancelFunc {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := m.Invoke(ctx, in)
			ended <- err
		}()
		return cancel
	}
	stop := invoke(first)
	waitFor(t, first, regexp.MustCompile(`begun`))
	stopSecond := invoke(second)
	waittest.Until(t, "the second waits", func() bool { return m.Begun(second.Dir) })
	for _, stop := range []context.CancelFunc{stopSecond, stop} {
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if _, err := os.Stat(second.LogFiles[0]); !errors.Is(err, os.ErrNotExist) {
		t.Error("the second one has begun", err)
	}
}
