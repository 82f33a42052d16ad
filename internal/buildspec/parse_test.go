package buildspec_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/buildspec"
)

const whole = `version: 0.2
run-as: builder
env:
  shell: bash
  variables: &vars
    GREETING: "Bonjour: tout le monde"
    RATIO: 1.10
    DEBUG: yes
    EMPTY:
  parameter-store:
    TOKEN: /web/token
  secrets-manager:
    PASSWORD: web/db:password::7
    ARN: arn:aws:secretsmanager:eu-west-1:111122223333:secret:web-AbCdEf:key
  git-credential-helper: yes
  exported-variables: [VERSION, DIGEST, TOKEN]
phases:
  post_build:
    commands:
      - echo done
  install:
    runtime-versions:
      java: corretto17
      golang:
    commands: make tools
  build:
    on-failure: CONTINUE
    commands:
      - make
      - |
        if true; then
          echo yes
        fi
      - >-
        go test
        ./...
    finally:
      - echo finally
  pre_build:
    run-as: tester
    on-failure: RETRY-2-.*timed out
    comands: [x]
reports:
  unit:
    files: "**/TEST-*.xml"
    base-directory: target
  coverage:
    file-format: JACOCOXML
    files: [jacoco.xml]
artifacts:
  name: web-$VERSION
  base-directory: dist
  discard-paths: yes
  files:
    - '**/*'
  exclude-paths: ["*.tmp"]
  enable-symlinks: yes
  s3-prefix: a/$B
  secondary-artifacts:
    docs: {files: site/**/*, discard-paths: no}
    empty-one: {name: x}
cache:
  paths: ['/root/.m2/**/*']
  key: m2-$(codebuild-hash-files pom.xml)
  fallback-keys: m2-
  action: save
proxy: {upload-artifacts: yes, logs: no, other: 1}
x-ours: 1
`

func TestParseReadsAWholeFile(t *testing.T) {
	t.Parallel()
	got, err := buildspec.Parse("ci/buildspec.yml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	want := buildspec.Spec{
		Version: "0.2",
		RunAs:   "builder",
		Env: buildspec.Env{
			Shell: "bash",
			Variables: map[string]string{
				"GREETING": "Bonjour: tout le monde", "RATIO": "1.10", "DEBUG": "yes", "EMPTY": "",
			},
			Parameters: map[string]string{"TOKEN": "/web/token"},
			Secrets: map[string]string{
				"PASSWORD": "web/db:password::7", "ARN": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:web-AbCdEf:key",
			},
			Exported:       []string{"VERSION", "DIGEST", "TOKEN"},
			GitCredentials: true,
		},
		Phases: []buildspec.Phase{
			{Name: "install", Commands: []string{"make tools"}, Runtimes: []buildspec.Runtime{{Name: "java", Version: "corretto17"}, {Name: "golang", Version: "latest"}}},
			{Name: "pre_build", RunAs: "tester", OnFailure: buildspec.OnFailure{Action: buildspec.Retry, Times: 2, Match: ".*timed out"}},
			{
				Name: "build", OnFailure: buildspec.OnFailure{Action: buildspec.Continue}, Finally: []string{"echo finally"},
				Commands: []string{"make", "if true; then\n  echo yes\nfi\n", "go test ./..."},
			},
			{Name: "post_build", Commands: []string{"echo done"}},
		},
		Artifacts: buildspec.Artifacts{
			Name: "web-$VERSION", BaseDirectory: "dist", DiscardPaths: true, Files: []string{"**/*"},
			Exclude: []string{"*.tmp"}, Symlinks: true, Prefix: "a/$B",
		},
		Secondary: []buildspec.Artifacts{{ID: "docs", Files: []string{"site/**/*"}}, {ID: "empty-one", Name: "x"}},
		Reports: []buildspec.Report{
			{Name: "unit", BaseDirectory: "target", Files: []string{"**/TEST-*.xml"}, Format: "JUNITXML"},
			{Name: "coverage", Files: []string{"jacoco.xml"}, Format: "JACOCOXML"},
		},
		Cache: buildspec.Cache{
			Paths: []string{"/root/.m2/**/*"}, Key: "m2-$(codebuild-hash-files pom.xml)", Fallback: []string{"m2-"}, Action: buildspec.CacheSave,
		},
		Warnings: []buildspec.Warning{
			{Line: 16, Column: 23, Message: "env.exported-variables: TOKEN is not exported: its value is a secret"},
			{Line: 42, Column: 5, Message: `buildspec has no key "phases.pre_build.comands"; did you mean "commands"?`},
			{Line: 61, Column: 5, Message: "artifacts.secondary-artifacts.empty-one names no files: nothing is handed on"},
			{Line: 67, Column: 1, Message: "proxy has no meaning here: artifacts and logs go to Towline itself; the commands get the server's proxy variables"},
			{Line: 67, Column: 42, Message: `buildspec has no key "proxy.other"`},
			{Line: 68, Column: 1, Message: `buildspec has no key "x-ours"`},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}

func TestParseReadsVersion01(t *testing.T) {
	t.Parallel()
	got, err := buildspec.Parse("buildspec.yml", []byte("version: 0.1\nenvironment_variables:\n  plaintext:\n    A: b\nphases:\n  build:\n    commands:\n      - make\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := buildspec.Spec{
		Version: "0.1",
		Env:     buildspec.Env{Variables: map[string]string{"A": "b"}},
		Phases:  []buildspec.Phase{{Name: "build", Commands: []string{"make"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}

func TestParseFollowsAnchorsAndMerges(t *testing.T) {
	t.Parallel()
	got, err := buildspec.Parse("b.yml", []byte(`version: "0.2"
phases:
  install: &p
    on-failure: ABORT
    commands: &c [make, !!str 1]
  build:
    <<: *p
    commands: *c
  post_build:
    <<: [*p]
    on-failure: CONTINUE
`))
	if err == nil {
		t.Fatalf("a merge of a list gave %v", got)
	}
	got, err = buildspec.Parse("b.yml", []byte(`version: "0.2"
phases:
  install: &p
    on-failure: ABORT
    commands: &c [make, !!str 1]
  build:
    <<: *p
    on-failure: CONTINUE
  post_build:
    commands: *c
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []buildspec.Phase{
		{Name: "install", Commands: []string{"make", "1"}, OnFailure: buildspec.OnFailure{Action: buildspec.Abort}},
		{Name: "build", Commands: []string{"make", "1"}, OnFailure: buildspec.OnFailure{Action: buildspec.Continue}},
		{Name: "post_build", Commands: []string{"make", "1"}},
	}
	if diff := cmp.Diff(want, got.Phases); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
}

func TestParseSaysWhatIsWrongWhereAndHowToMendIt(t *testing.T) {
	t.Parallel()
	const phases = "phases: {build: {commands: [make]}}\n"
	for name, c := range map[string]struct{ text, want string }{
		"an empty file":              {"", `b.yml:1:1: the file is empty; begin with "version: 0.2" and "phases:"`},
		"a comment only":             {"# nothing\n", `b.yml:1:1: the file is empty; begin with "version: 0.2" and "phases:"`},
		"a list":                     {"- make\n", "b.yml:1:1: the buildspec is a list, it must be a mapping of keys"},
		"no version":                 {phases, `b.yml:1:1: the version is missing; add "version: 0.2"`},
		"an unknown version":         {"version: 0.3\n" + phases, `b.yml:1:10: version "0.3" is unknown; write 0.2`},
		"no phases":                  {"version: 0.2\n", `b.yml:1:1: there are no commands to run; add "phases: {build: {commands: [...]}}"`},
		"phases without commands":    {"version: 0.2\nphases:\n  build:\n    command: make\n", `b.yml:2:1: the phases have no commands; add "commands:" to a phase`},
		"a phase mistyped":           {"version: 0.2\nphases:\n  prebuild:\n    commands: [make]\n", `b.yml:3:3: there is no phase "prebuild"; did you mean pre_build?`},
		"a phase invented":           {"version: 0.2\nphases:\n  deploy:\n    commands: [make]\n", `b.yml:3:3: there is no phase "deploy"; the phases are install, pre_build, build, post_build`},
		"a command with a colon":     {"version: 0.2\nphases:\n  build:\n    commands:\n      - make\n      - echo status: ok\n", "b.yml:6:9: phases.build.commands[1] is a mapping, it must be a text; put quotes around it: a colon and a space make it a mapping"},
		"a list among the commands":  {"version: 0.2\nphases:\n  build:\n    commands:\n      - [make]\n", "b.yml:5:9: phases.build.commands[0] is a list, it must be a text"},
		"a bad on-failure":           {"version: 0.2\nphases: {build: {on-failure: STOP, commands: [make]}}\n", `b.yml:2:30: phases.build.on-failure is "STOP"; write ABORT, CONTINUE, RETRY, or RETRY-3`},
		"too many retries":           {"version: 0.2\nphases: {build: {on-failure: RETRY-101, commands: [make]}}\n", `b.yml:2:30: phases.build.on-failure is "RETRY-101"; write a number from 0 to 100`},
		"a retry of no expression":   {"version: 0.2\nphases: {build: {on-failure: 'RETRY-(', commands: [make]}}\n", "b.yml:2:30: phases.build.on-failure is \"RETRY-(\", which holds no regular expression: error parsing regexp: missing closing ): `(`"},
		"a user that is none":        {"version: 0.2\nrun-as: a b\n" + phases, `b.yml:2:9: run-as is "a b"; write the name of a user`},
		"an empty parameter":         {"version: 0.2\nenv: {parameter-store: {A: ''}}\n" + phases, `b.yml:2:28: env.parameter-store.A is ""; write the name of a parameter`},
		"a secret without a name":    {"version: 0.2\nenv: {secrets-manager: {A: ':key'}}\n" + phases, `b.yml:2:28: env.secrets-manager.A is ":key"; write secret-id:json-key:version-stage:version-id`},
		"a bad identifier":           {"version: 0.2\nartifacts: {secondary-artifacts: {a.b: {files: x}}}\n" + phases, `b.yml:2:35: "a.b" is not an identifier for an artifact; use letters, digits, underscores and hyphens`},
		"a bad action of a cache":    {"version: 0.2\ncache: {action: keep}\n" + phases, `b.yml:2:17: cache.action is "keep"; write restore or save, or leave it out for both`},
		"a bad name of a variable":   {"version: 0.2\nenv:\n  variables:\n    a-b: c\n" + phases, `b.yml:4:5: "a-b" is not a name for a variable; use letters, digits and underscores`},
		"a bad exported variable":    {"version: 0.2\nenv:\n  exported-variables:\n    - $(id)\n" + phases, `b.yml:4:5: "$(id)" is not a name for a variable; use letters, digits and underscores`},
		"a shell of Windows":         {"version: 0.2\nenv:\n  shell: powershell.exe\n" + phases, "b.yml:3:10: env.shell is powershell.exe, which runs on Windows only; write bash or /bin/sh"},
		"a shell with arguments":     {"version: 0.2\nenv:\n  shell: bash -e\n" + phases, `b.yml:3:10: env.shell is "bash -e", it must be one program; write bash or /bin/sh`},
		"an unknown report format":   {"version: 0.2\nreports: {a: {file-format: XML}}\n" + phases, `b.yml:2:28: reports.a.file-format is "XML", which is no report format; write one of JUNITXML, NUNITXML, NUNIT3XML, CUCUMBERJSON, VISUALSTUDIOTRX, TESTNGXML, CLOVERXML, COBERTURAXML, JACOCOXML, SIMPLECOV`},
		"a pattern that is none":     {"version: 0.2\nartifacts: {files: '[a'}\n" + phases, `b.yml:2:20: "[a" in artifacts.files is not a pattern for files`},
		"a text in place of phases":  {"version: 0.2\nphases: make\n", "b.yml:2:9: phases is a text, it must be a mapping of keys"},
		"two documents":              {"version: 0.2\n" + phases + "---\nversion: 0.2\n", "b.yml:4:1: the file holds more than one document; keep one"},
		"an alias without an anchor": {"version: 0.2\nphases:\n  build: *b\n", "b.yml:3:10: there is no anchor &b"},
		"two problems": {"version: 2\nartifacts: {discard-paths: maybe}\n" + phases,
			"b.yml:1:10: version \"2\" is unknown; write 0.2\nb.yml:2:28: artifacts.discard-paths is \"maybe\"; write yes or no"},
		"a file that is too large": {strings.Repeat("#", 1<<20+1), "b.yml:1:1: the file is larger than 1 MB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := buildspec.Parse("b.yml", []byte(c.text))
			if err == nil {
				t.Fatal("it was accepted")
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Error("(-want +got)\n", diff)
			}
		})
	}
	for name, text := range map[string]string{
		"an open bracket": "version: 0.2\nphases: [\n", "a tab": "version: 0.2\nphases:\n\tbuild:\n", "a key twice": "version: 0.2\nversion: 0.2\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := buildspec.Parse("b.yml", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), "b.yml:2:") && !strings.HasPrefix(err.Error(), "b.yml:3:") {
				t.Errorf("got %v, want an error with the line", err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("version: 0.2\nphases:\n  install: &p\n    commands: &c [make, !!str 1]\n  build:\n    <<: *p\n"))
	f.Add([]byte("a: &a [*a]\nphases: *a\n"))
	f.Add([]byte("version: 0.2\nbatch: {build-matrix: {dynamic: {env: {variables: {A: [1, 2], B: []}}}}, build-fanout: {parallelism: 3}}\n"))
	f.Add([]byte("version: 0.2\nbatch:\n  build-graph:\n  - {identifier: a, depend-on: b}\n  - {identifier: b}\nphases: {build: {commands: x, on-failure: RETRY-3-x}}\n"))
	for _, name := range corpus(f) {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("version: 0.2\nphases: &p\n  build:\n    <<: *p\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		spec, err := buildspec.Parse("b.yml", text)
		if err != nil {
			return
		}
		commands := 0
		for _, p := range spec.Phases {
			commands += len(p.Commands) + len(p.Finally)
		}
		if commands == 0 && spec.Batch == nil || spec.Version == "" {
			t.Errorf("accepted version %q with %d commands", spec.Version, commands)
		}
		if spec.Batch != nil {
			if tasks := spec.Batch.Expand(); len(tasks) == 0 || len(tasks) > 100 || len(buildspec.Stuck(tasks)) > 0 {
				t.Errorf("accepted a batch of %d builds", len(tasks))
			}
		}
		for _, w := range spec.Warnings {
			if w.Line < 1 || w.Column < 1 || w.Message == "" {
				t.Errorf("warning %+v", w)
			}
		}
	})
}
