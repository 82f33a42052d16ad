package build_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/pipeline"
	"github.com/towline/towline/internal/report"
)

// newOrder packs files as a source and returns a job that builds it.
func newOrder(t *testing.T, files map[string]string, config pipeline.Build) order {
	t.Helper()
	dir := t.TempDir()
	// Where builds run as nobody they go to their files through the parents.
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o711), os.Mkdir(filepath.Join(dir, "job"), 0o711)); err != nil {
		t.Fatal(err)
	}
	o := order{Store: filepath.Join(dir, "artifacts"), Cache: filepath.Join(dir, "cache")}
	configuration, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	o.Job = pipeline.Job{
		Pipeline: "web", Execution: "web-7", Number: 7, Stage: "Test", Attempt: 1,
		Action:        pipeline.Action{Name: "unit", Outputs: []string{"app"}},
		Revision:      pipeline.Revision{Repository: "web", Branch: "main", Commit: "3f9c2e1aa0000000000000000000000000000000"},
		Configuration: configuration,
		Dir:           filepath.Join(dir, "job"),
		LogFile:       filepath.Join(dir, "action.log"),
		Inputs:        []pipeline.Artifact{pack(t, o.Store, "source", files)},
	}
	return o
}

func pack(t *testing.T, store, name string, files map[string]string) pipeline.Artifact {
	t.Helper()
	dir := t.TempDir()
	for file, text := range files {
		path := filepath.Join(dir, file)
		mode := fs.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := artifact.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	digest, size, err := s.Pack(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return pipeline.Artifact{Name: name, Digest: digest, Size: size}
}

// contents are the files of an artifact, and the modes of those that can be run.
func contents(t *testing.T, store string, a pipeline.Artifact) map[string]string {
	t.Helper()
	s, err := artifact.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	dir := t.TempDir()
	if err := s.Unpack(t.Context(), a.Digest, dir); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	err = fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if d.Type() == fs.ModeSymlink {
			to, err := os.Readlink(filepath.Join(dir, name))
			found[name] = "-> " + to
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		info, _ := d.Info()
		found[name] = string(text)
		if info.Mode()&0o100 != 0 {
			found[name] += " (can be run)"
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func run(t *testing.T, o order) pipeline.Result {
	t.Helper()
	result, err := o.run(t.Context())
	if err != nil {
		t.Fatal(err, logOf(t, o))
	}
	return result
}

func logOf(t *testing.T, o order) string {
	t.Helper()
	var text strings.Builder
	err := report.Follow(context.Background(), o.Job.LogFile, 0, func() bool { return true }, func(l report.Line) error {
		text.WriteString(l.Text + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return text.String()
}

const junit = `<testsuites><testsuite name="web"><testcase name="TestA" classname="web"/><testcase name="TestB" classname="web"/></testsuite></testsuites>`

func TestActionRunsABuildspecFromSourceToArtifact(t *testing.T) {
	t.Parallel()
	o := newOrder(t, map[string]string{
		"buildspec.yml": `version: 0.2
proxy: {logs: yes}
env:
  variables: {GREETING: hello, CODEBUILD_BUILD_NUMBER: "99"}
  exported-variables: [VERSION]
phases:
  install:
    commands:
      - VERSION=1.$CODEBUILD_BUILD_NUMBER
      - psql -XAtc "select 'asked ' || current_user"
  build:
    commands:
      - mkdir -p dist/bin dist/deep/er reports
      - printf '#!/bin/sh\necho %s' "$GREETING" > dist/bin/web; chmod +x dist/bin/web
      - echo x > dist/deep/er/x.txt
      - ln -s bin/web dist/link; ln -s /etc/shadow dist/outside; ln -s ../../../.. dist/deep/up
      - mkfifo dist/pipe
      - cp tests.xml reports/TEST-web.xml; ln -s "$OUTSIDE" reports/TEST-evil.xml
      - echo "$CODEBUILD_RESOLVED_SOURCE_VERSION $CODEBUILD_BUILD_ID $CODEBUILD_INITIATOR $TOWLINE_EXECUTION $FROM_ACTION"
      - test "$(cat "$CODEBUILD_SRC_DIR_lib_one/lib.txt")" = library && echo found the library
reports:
  unit: {files: "TEST-*.xml", base-directory: reports}
artifacts:
  base-directory: $DIST
  files: ['**/*']
  name: ignored
`,
		"tests.xml": junit,
	}, pipeline.Build{
		Services: map[string]pipeline.Service{"db": {Engine: "postgres"}},
		Env:      map[string]string{"FROM_ACTION": "yes", "DIST": "dist", "OUTSIDE": "a file outside, set below"},
	})
	outside := filepath.Join(filepath.Dir(o.Job.Dir), "outside.xml")
	if err := os.WriteFile(outside, []byte(junit), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Job.Configuration = bytes.Replace(o.Job.Configuration, []byte("a file outside, set below"), []byte(outside), 1)
	o.Job.Inputs = append(o.Job.Inputs, pack(t, o.Store, "lib-one", map[string]string{"lib.txt": "library"}))
	got := run(t, o)
	log := logOf(t, o)
	if len(got.Artifacts) != 1 || !strings.HasPrefix(got.Summary, "2 passed · PostgreSQL ") {
		t.Fatalf("got %+v\n%s", got, log)
	}
	want := map[string]string{
		"bin/web": "#!/bin/sh\necho hello (can be run)", "deep/er/x.txt": "x\n", "link": "#!/bin/sh\necho hello (can be run)",
	}
	if diff := cmp.Diff(want, contents(t, o.Store, got.Artifacts[0])); diff != "" {
		t.Error("artifact (-want +got)\n", diff)
	}
	got.Artifacts[0].Digest, got.Artifacts[0].Size, got.Summary, got.Phases = "", 0, "", nil
	if diff := cmp.Diff(pipeline.Result{
		Outcome: pipeline.Succeeded, Variables: map[string]string{"VERSION": "1.7"},
		Tests: &pipeline.TestReport{Passed: 2}, Artifacts: []pipeline.Artifact{{Name: "app"}},
	}, got); diff != "" {
		t.Error("result (-want +got)\n", diff)
	}
	for _, line := range []string{
		"warning: buildspec.yml:2:1: proxy has no meaning here: artifacts and logs go to Towline itself; the commands get the server's proxy variables",
		"host backend: not isolated: ",
		"asked build",
		"3f9c2e1aa0000000000000000000000000000000 web:web-7.Test.1.unit codepipeline/web web-7 yes",
		"found the library",
		"warning: artifacts: outside is left out: the link leads out of the artifact, to /etc/shadow",
		"warning: report unit: TEST-evil.xml: ",
	} {
		if !strings.Contains("\n"+log, "\n"+line) {
			t.Errorf("the log has no line %q\n%s", line, log)
		}
	}
}

func TestActionRunsTheCommandsOfTheAction(t *testing.T) {
	t.Parallel()
	o := newOrder(t, map[string]string{"buildspec.yml": "broken", "tests.xml": junit}, pipeline.Build{
		Commands:  []string{"mkdir dist; echo a > dist/a; echo b > b"},
		Artifacts: []string{"dist", "./b"},
		Reports:   []string{"*.xml"},
	})
	o.Job.Action.Outputs = nil
	got := run(t, o)
	if got.Outcome != pipeline.Succeeded || len(got.Artifacts) != 1 || got.Artifacts[0].Name != "unit" || got.Tests == nil {
		t.Fatalf("got %+v", got)
	}
	if diff := cmp.Diff(map[string]string{"dist/a": "a\n", "b": "b\n"}, contents(t, o.Store, got.Artifacts[0])); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
	again := run(t, o)
	if diff := cmp.Diff(got, again); diff != "" {
		t.Error("the same job again (-first +second)\n", diff)
	}
	if n := strings.Count(logOf(t, o), "$ mkdir dist"); n != 1 {
		t.Errorf("the command ran %d times", n)
	}
}

func TestActionFails(t *testing.T) {
	t.Parallel()
	const head = "version: 0.2\nphases:\n  build:\n    commands:\n"
	for name, c := range map[string]struct {
		files  map[string]string
		config pipeline.Build
		want   string
	}{
		"when there is no buildspec": {
			map[string]string{"Makefile": "", "src/main.go": ""}, pipeline.Build{},
			"commit 3f9c2e1 has no buildspec.yml: the top of the source has Makefile, src/. Add the file, or say where it is by build.buildspec in towline.yaml or --buildspec on the command line, or list the commands by build.commands.",
		},
		"when there is no buildspec in its directory": {
			map[string]string{"ci/test.yaml": ""}, pipeline.Build{Buildspec: "ci/test.yml"},
			"commit 3f9c2e1 has no ci/test.yml: ci/ has test.yaml. Add the file, or say where it is by build.buildspec in towline.yaml or --buildspec on the command line, or list the commands by build.commands.",
		},
		"when there is no such directory": {
			map[string]string{"a": ""}, pipeline.Build{Buildspec: "ci/test.yml"},
			"commit 3f9c2e1 has no ci/test.yml: the top of the source, which has no directory ci, has a. Add the file, or say where it is by build.buildspec in towline.yaml or --buildspec on the command line, or list the commands by build.commands.",
		},
		"when the buildspec is outside": {
			nil, pipeline.Build{Buildspec: "../../etc/passwd"},
			`the buildspec "../../etc/passwd" is not inside the source; name it by its path from the top of the repository`,
		},
		"when the buildspec is a directory": {
			map[string]string{"ci/test.yml": ""}, pipeline.Build{Buildspec: "ci"},
			"read the buildspec ci: it is not a regular file",
		},
		"when the buildspec is huge": {
			map[string]string{"buildspec.yml": "#" + strings.Repeat(" ", 3<<20)}, pipeline.Build{},
			"buildspec.yml:1:1: the file is larger than 1 MB",
		},
		"when the buildspec is wrong": {
			map[string]string{"buildspec.yml": "version: 0.2\nphases:\n  biuld:\n    commands: [make]\n"}, pipeline.Build{},
			`buildspec.yml:3:3: there is no phase "biuld"; did you mean build?`,
		},
		"when the timeout is wrong": {
			map[string]string{"a": ""}, pipeline.Build{Commands: []string{"true"}, Timeout: "soon"},
			`timeout "soon" is not a duration above zero, such as 20m`,
		},
		"when a command fails, and names the tests": {
			map[string]string{"buildspec.yml": head + "      - echo to the point; exit 3\nreports: {unit: {files: '*.xml'}}\nartifacts: {files: '**/*'}\n",
				"t.xml": `<testsuite name="web"><testcase classname="web" name="TestGreet"><failure message="got Hello, want Bonjour"/></testcase></testsuite>`},
			pipeline.Build{},
			"phase build failed: \"echo to the point; exit 3\" ended with exit code 3\n1 test failed:\n  web TestGreet: got Hello, want Bonjour\nits last lines:\n  to the point",
		},
		"when the artifact is too large": {
			nil, pipeline.Build{Commands: []string{"truncate -s 60G large"}, Artifacts: []string{"*"}},
			"artifacts: the files are larger than the limit of 17179869184 bytes; leave out what the next action does not need",
		},
		"when a program is missing": {
			nil, pipeline.Build{Commands: []string{"no-such-program 2>/dev/null"}},
			`phase build failed: "no-such-program 2>/dev/null" ended with exit code 127 (the program was not found: install it on the build's machine)`,
		},
		"when the time is up": {
			nil, pipeline.Build{Commands: []string{"sleep 1000"}, Timeout: "300ms"},
			"the build took longer than 300ms and was ended in phase build; make it faster, or give the action a longer timeout",
		},
		"when no file matches the artifact": {
			map[string]string{"a.txt": ""}, pipeline.Build{Commands: []string{"true"}, Artifacts: []string{"dist/**/*", "*.jar"}},
			"artifacts: no file matches dist/**/*, *.jar in the source; what the commands made is not where artifacts.files and base-directory look",
		},
		"when the artifact is outside": {
			nil, pipeline.Build{Commands: []string{"true"}, Artifacts: []string{"../secret"}},
			`artifacts: "../secret" is not a pattern for files inside the source`,
		},
		"when the base directory is outside": {
			map[string]string{"buildspec.yml": head + "      - D=/etc\nartifacts: {files: '**/*', base-directory: $D}\n"}, pipeline.Build{},
			"artifacts: base-directory /etc is not inside the source",
		},
		"when the base directory is a link": {
			map[string]string{"buildspec.yml": head + "      - ln -s /etc dist\nartifacts: {files: '**/*', base-directory: dist}\n"}, pipeline.Build{},
			"artifacts: there is no directory dist, which base-directory names",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOrder(t, c.files, c.config)
			got := run(t, o)
			if got.Outcome != pipeline.Failed || len(got.Artifacts) > 0 {
				t.Errorf("got %+v", got)
			}
			if diff := cmp.Diff(c.want, got.Message); diff != "" {
				t.Error("message (-want +got)\n", diff)
			}
		})
	}
}

func TestActionDropsThePathsOfAnArtifact(t *testing.T) {
	t.Parallel()
	o := newOrder(t, map[string]string{
		"buildspec.yml": "version: 0.2\nphases: {build: {commands: ['true']}}\nartifacts: {files: ['**/*.txt', run.sh], discard-paths: yes}\n",
		"a/b/c.txt":     "c", "d.txt": "d", "run.sh": "#!/bin/sh",
	}, pipeline.Build{})
	got := run(t, o)
	if len(got.Artifacts) != 1 {
		t.Fatalf("got %+v", got)
	}
	want := map[string]string{"c.txt": "c", "d.txt": "d", "run.sh": "#!/bin/sh (can be run)"}
	if diff := cmp.Diff(want, contents(t, o.Store, got.Artifacts[0])); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}

func TestActionFaults(t *testing.T) {
	t.Parallel()
	t.Run("without an input artifact", func(t *testing.T) {
		t.Parallel()
		o := newOrder(t, nil, pipeline.Build{Commands: []string{"true"}})
		o.Job.Inputs = nil
		if _, err := o.run(t.Context()); err == nil || !strings.Contains(err.Error(), "no input artifact") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("when the source is not in the store", func(t *testing.T) {
		t.Parallel()
		o := newOrder(t, nil, pipeline.Build{Commands: []string{"true"}})
		o.Job.Inputs[0].Digest = "sha256:" + strings.Repeat("0", 64)
		if _, err := o.run(t.Context()); err == nil {
			t.Error("it ran")
		}
	})
}

func TestCachesStayFromBuildToBuildOfOnePipeline(t *testing.T) {
	t.Parallel()
	commands := pipeline.Build{Commands: []string{`mkdir -p "$GOCACHE"; ls "$GOCACHE"; echo x > "$GOCACHE/from-$TOWLINE_PIPELINE"`}}
	first := newOrder(t, nil, commands)
	run(t, first)
	for name, c := range map[string]struct{ pipeline, want string }{
		"the same": {"web", "\nfrom-web\n"}, "another": {"api", ""},
	} {
		second := newOrder(t, nil, commands)
		second.Cache, second.Job.Pipeline = first.Cache, c.pipeline
		if got := run(t, second); got.Outcome != pipeline.Succeeded {
			t.Errorf("%s: %+v", name, got)
		}
		if log := logOf(t, second); !strings.Contains(log, c.want) || c.want == "" && strings.Contains(log, "\nfrom-") {
			t.Errorf("%s pipeline sees in its cache:\n%s", name, log)
		}
	}
}
