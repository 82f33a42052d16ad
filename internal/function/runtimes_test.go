package function_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/function"
)

// answers checks that an invocation went well, and returns what it answered.
func answers(t *testing.T, m *machine, f function.Function, event string) map[string]any {
	t.Helper()
	outcome, log := m.invoke(t, f, event)
	if outcome.Error != nil {
		t.Fatalf("%v\n%s", outcome.Error, log)
	}
	var answer map[string]any
	if err := json.Unmarshal(outcome.Payload, &answer); err != nil {
		t.Fatalf("answer %s: %v", outcome.Payload, err)
	}
	for _, line := range []string{"START RequestId: ", "END RequestId: ", "REPORT RequestId: ", "Max Memory Used: ", "not isolated"} {
		if !strings.Contains(log, line) {
			t.Errorf("the log has no %q:\n%s", line, log)
		}
	}
	return answer
}

// fails checks that an invocation failed with an error, and returns the log.
func fails(t *testing.T, m *machine, f function.Function, event, kind, message string) string {
	t.Helper()
	outcome, log := m.invoke(t, f, event)
	if outcome.Error == nil || outcome.Error.Type != kind || !strings.Contains(outcome.Error.Message, message) {
		t.Fatalf("error %v, payload %s; want %s: ...%s\n%s", outcome.Error, outcome.Payload, kind, message, log)
	}
	return log
}

const pythonHandler = `
import os, sys, threading

def handler(event, context):
    print("greets", event["name"])
    if event["name"] == "nobody":
        raise ValueError("there is nobody")
    if event["name"] == "object":
        return object()
    return {
        "greeting": "Hello " + event["name"], "request": context.aws_request_id, "limited": context.get_remaining_time_in_millis() > 0,
        "name": context.function_name, "memory": context.memory_limit_in_mb, "cwd": os.getcwd() == os.environ["LAMBDA_TASK_ROOT"],
        "variable": os.environ.get("COLOUR"), "server": os.environ.get("TOWLINE_TEST_SECRET"), "endpoint": os.environ["AWS_ENDPOINT_URL"],
    }
`

func TestPythonHandlers(t *testing.T) {
	t.Parallel()
	need(t, "python3", "python3")
	m := setup(t)
	f := m.put(t, "python3.x", "src/app.handler", files{
		"src/app.py": pythonHandler, "broken.py": "import nowhere_at_all\ndef handler(e, c): pass\n", "syntax.py": "def handler(:\n", "dict.py": "{}['a']\n",
	})
	f.Environment = map[string]string{"COLOUR": "green"}
	t.Run("answer as on AWS", func(t *testing.T) {
		t.Parallel()
		got := answers(t, m, f, `{"name": "Ada"}`)
		delete(got, "request")
		want := map[string]any{
			"greeting": "Hello Ada", "limited": true, "name": "f", "memory": "512", "cwd": true, "variable": "green", "server": nil, "endpoint": "http://127.0.0.1:8480",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("answer (-want +got):\n%s", diff)
		}
	})
	t.Run("raise, and the log shows where", func(t *testing.T) {
		t.Parallel()
		log := fails(t, m, f, `{"name": "nobody"}`, "ValueError", "there is nobody")
		if !strings.Contains(log, "app.py") || !strings.Contains(log, "[ERROR] ValueError") {
			t.Error(log)
		}
	})
	t.Run("answer with what JSON cannot say", func(t *testing.T) {
		t.Parallel()
		fails(t, m, f, `{"name": "object"}`, "Runtime.MarshalError", "not JSON serializable")
	})
	for handler, want := range map[string]string{
		"broken.handler": "Runtime.ImportModuleError", "absent.handler": "Runtime.ImportModuleError", "src/app.other": "Runtime.HandlerNotFound",
		"syntax.handler": "Runtime.UserCodeSyntaxError", "dict.handler": "KeyError",
	} {
		t.Run(handler+" cannot begin", func(t *testing.T) {
			t.Parallel()
			f := f
			f.Handler = handler
			fails(t, m, f, `{}`, want, "")
		})
	}
}

const nodeHandlers = `
exports.handler = async (event, context) => {
  console.log('greets', event.name);
  if (event.name === 'nobody') throw new RangeError('there is nobody');
  return { greeting: 'Hello ' + event.name, request: context.awsRequestId, limited: context.getRemainingTimeInMillis() > 0 };
};
exports.callback = (event, context, callback) => setTimeout(() => callback(null, { late: true }), 10);
exports.refuses = (event, context, callback) => callback(new Error('no'));
exports.sync = (event) => ({ at: 'once' });
exports.leaves = async () => { setTimeout(() => { throw new Error('later'); }, 1); await new Promise((r) => setTimeout(r, 1000)); };
`

func TestNodeHandlers(t *testing.T) {
	t.Parallel()
	need(t, "node", "nodejs")
	m := setup(t)
	f := m.put(t, "nodejs20.x", "src/index.handler", files{
		"src/index.js": nodeHandlers, "module.mjs": "export const handler = async (event) => ({ module: event.name });\n", "broken.js": "require('nowhere-at-all');\n",
	})
	with := func(handler string) function.Function {
		f := f
		f.Handler = handler
		return f
	}
	t.Run("answer by a promise", func(t *testing.T) {
		t.Parallel()
		got := answers(t, m, f, `{"name": "Ada"}`)
		if got["greeting"] != "Hello Ada" || got["limited"] != true || got["request"] == "" {
			t.Error(got)
		}
	})
	t.Run("answer by a callback, at once, and from a module", func(t *testing.T) {
		t.Parallel()
		for handler, want := range map[string]map[string]any{
			"src/index.callback": {"late": true}, "src/index.sync": {"at": "once"}, "module.handler": {"module": "Ada"},
		} {
			if diff := cmp.Diff(want, answers(t, m, with(handler), `{"name": "Ada"}`)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", handler, diff)
			}
		}
	})
	t.Run("fail", func(t *testing.T) {
		t.Parallel()
		fails(t, m, f, `{"name": "nobody"}`, "RangeError", "there is nobody")
		fails(t, m, with("src/index.refuses"), `{}`, "Error", "no")
		fails(t, m, with("src/index.leaves"), `{}`, "Error", "later")
		fails(t, m, with("broken.handler"), `{}`, "Runtime.ImportModuleError", "nowhere-at-all")
		fails(t, m, with("src/index.absent"), `{}`, "Runtime.HandlerNotFound", "")
	})
}

// javaClasses is a directory with the classes of testdata/java.
func javaClasses(t *testing.T) (classes string) {
	t.Helper()
	need(t, "javac", "default-jdk-headless")
	classes = t.TempDir()
	sources, err := filepath.Glob("testdata/java/*/*.java")
	if err != nil {
		t.Fatal(err)
	}
	core, err := filepath.Glob("testdata/java/com/amazonaws/services/lambda/runtime/*.java")
	if err != nil {
		t.Fatal(err)
	}
	run(t, "", "javac", append([]string{"--release", "17", "-d", classes}, append(sources, core...)...)...)
	return classes
}

func TestJavaHandlers(t *testing.T) {
	t.Parallel()
	classes := javaClasses(t)
	m := setup(t)
	f := m.putDir(t, "java17", "example.Greeter", classes)
	with := func(handler string) function.Function {
		f := f
		f.Handler = handler
		return f
	}
	t.Run("a RequestHandler answers", func(t *testing.T) {
		t.Parallel()
		got := answers(t, m, f, `{"name": "Ada \"A\" \u00e9 😀", "n": [1, -2.5e3, true, null, {}]}`)
		if got["greeting"] != "Hello Ada \"A\" \u00e9 😀" || got["limited"] != true || got["request"] == "" {
			t.Error(got)
		}
	})
	t.Run("a RequestStreamHandler answers", func(t *testing.T) {
		t.Parallel()
		if got := answers(t, m, with("example.Copier::handleRequest"), `{"same": "same"}`); got["same"] != "same" {
			t.Error(got)
		}
	})
	t.Run("a method of a text answers", func(t *testing.T) {
		t.Parallel()
		if outcome, log := m.invoke(t, with("example.Greeter::shout"), `"hey"`); string(outcome.Payload) != `"HEY"` {
			t.Error(outcome, log)
		}
	})
	t.Run("an exception and a missing class fail", func(t *testing.T) {
		t.Parallel()
		log := fails(t, m, f, `{"name": "nobody"}`, "java.lang.IllegalStateException", "there is nobody")
		if !strings.Contains(log, "Greeter.java") {
			t.Error(log)
		}
		fails(t, m, with("example.Absent"), `{}`, "Runtime.ClassNotFound", "example.Absent")
	})
	t.Run("a bean without Jackson says what is missing", func(t *testing.T) {
		t.Parallel()
		fails(t, m, with("example.Bean"), `{"name": "Ada"}`, "java.lang.IllegalArgumentException", "jackson-databind")
	})
	t.Run("a bean with Jackson is read and written", func(t *testing.T) {
		t.Parallel()
		jars, err := filepath.Glob("/usr/share/java/jackson-*.jar")
		if err != nil || len(jars) < 3 {
			t.Fatal("this test needs Jackson: install libjackson2-databind-java (scripts/deps test does)")
		}
		dir := t.TempDir()
		run(t, "", "cp", "-r", classes+"/.", dir)
		run(t, dir, "mkdir", "lib")
		run(t, "", "cp", append([]string{"-L"}, append(jars, filepath.Join(dir, "lib"))...)...)
		if got := answers(t, m, m.putDir(t, "java17", "example.Bean", dir), `{"NAME": "Ada", "more": 1}`); got["name"] != "Ada!" {
			t.Error(got)
		}
	})
}

func TestBootstraps(t *testing.T) {
	t.Parallel()
	m := setup(t)
	t.Run("an unmodified Go program answers and fails", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "bootstrap"), "./testdata/bootstrap")
		cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		f := m.putDir(t, "provided.al2023", "", dir)
		event := func(parameters string) string {
			return `{"CodePipeline.job": {"id": "11111111-abcd-1111-abcd-111111abcdef", "data": {"actionConfiguration": {"configuration": {"UserParameters": "` + parameters + `"}}}}}`
		}
		got := answers(t, m, f, event("v1"))
		if got["job"] != "11111111-abcd-1111-abcd-111111abcdef" || got["limited"] != true || got["request"] == "" {
			t.Error(got)
		}
		fails(t, m, f, event("fail"), "errorString", "as it was told")
	})
	t.Run("a script that asks by hand answers", func(t *testing.T) {
		t.Parallel()
		need(t, "curl", "curl")
		const script = `#!/bin/sh
set -eu
while :; do
  curl -sS --noproxy '*' -D "$TMPDIR/headers" -o "$TMPDIR/event" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next"
  id=$(sed -n 's/^lambda-runtime-aws-request-id: *\([^[:space:]]*\).*$/\1/Ip' "$TMPDIR/headers")
  curl -sS --noproxy '*' --data-binary "@$TMPDIR/event" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response" >/dev/null
done
`
		if got := answers(t, m, m.put(t, "provided.al2023", "", files{"bootstrap!": script}), `{"same": "same"}`); got["same"] != "same" {
			t.Error(got)
		}
	})
	t.Run("a zip without a program says what it lacks", func(t *testing.T) {
		t.Parallel()
		fails(t, m, m.put(t, "provided.al2023", "", files{"other": "x"}), `{}`, function.ErrorEntry, "bootstrap")
		fails(t, m, m.put(t, "provided.al2023", "", files{"bootstrap": "#!/bin/sh\n"}), `{}`, function.ErrorEntry, "permission denied")
	})
}
