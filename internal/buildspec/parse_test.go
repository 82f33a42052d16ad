package buildspec_test

import (
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
  exported-variables: [VERSION, DIGEST]
phases:
  post_build:
    commands:
      - echo done
  install:
    runtime-versions:
      java: corretto17
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
    on-failure: RETRY-3
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
cache:
  paths: ['/root/.m2/**/*']
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
		Env: buildspec.Env{
			Shell: "bash",
			Variables: map[string]string{
				"GREETING": "Bonjour: tout le monde", "RATIO": "1.10", "DEBUG": "yes", "EMPTY": "",
			},
			Exported: []string{"VERSION", "DIGEST"},
		},
		Phases: []buildspec.Phase{
			{Name: "install", Commands: []string{"make tools"}},
			{Name: "pre_build"},
			{
				Name: "build", OnFailure: buildspec.Continue, Finally: []string{"echo finally"},
				Commands: []string{"make", "if true; then\n  echo yes\nfi\n", "go test ./..."},
			},
			{Name: "post_build", Commands: []string{"echo done"}},
		},
		Artifacts: buildspec.Artifacts{Name: "web-$VERSION", BaseDirectory: "dist", DiscardPaths: true, Files: []string{"**/*"}},
		Reports:   []buildspec.Report{{Name: "unit", BaseDirectory: "target", Files: []string{"**/TEST-*.xml"}}},
		Warnings: []buildspec.Warning{
			{Line: 2, Column: 1, Message: "run-as is not supported yet: the commands run as the build's own user"},
			{Line: 10, Column: 3, Message: "env.parameter-store is not supported yet: its variables are not set"},
			{Line: 18, Column: 5, Message: "phases.install.runtime-versions is not supported yet: the versions found on this machine are used"},
			{Line: 35, Column: 5, Message: "phases.pre_build.on-failure: RETRY-3 is not supported yet: a failed phase is not run again"},
			{Line: 36, Column: 5, Message: `buildspec has no key "phases.pre_build.comands"; did you mean "commands"?`},
			{Line: 42, Column: 5, Message: "reports.coverage.file-format: JACOCOXML is not supported yet: the report is not read"},
			{Line: 50, Column: 3, Message: "artifacts.exclude-paths is not supported yet: the files it names are in the artifact"},
			{Line: 51, Column: 1, Message: "cache is not supported yet: the tools' own caches are kept between builds of a pipeline, other paths are not"},
			{Line: 53, Column: 1, Message: `buildspec has no key "x-ours"`},
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
		{Name: "install", Commands: []string{"make", "1"}, OnFailure: buildspec.Abort},
		{Name: "build", Commands: []string{"make", "1"}, OnFailure: buildspec.Continue},
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
		"a bad on-failure":           {"version: 0.2\nphases: {build: {on-failure: STOP, commands: [make]}}\n", `b.yml:2:30: phases.build.on-failure is "STOP"; write ABORT or CONTINUE`},
		"a bad name of a variable":   {"version: 0.2\nenv:\n  variables:\n    a-b: c\n" + phases, `b.yml:4:5: "a-b" is not a name for a variable; use letters, digits and underscores`},
		"a bad exported variable":    {"version: 0.2\nenv:\n  exported-variables:\n    - $(id)\n" + phases, `b.yml:4:5: "$(id)" is not a name for a variable; use letters, digits and underscores`},
		"a shell of Windows":         {"version: 0.2\nenv:\n  shell: powershell.exe\n" + phases, "b.yml:3:10: env.shell is powershell.exe, which runs on Windows only; write bash or /bin/sh"},
		"a shell with arguments":     {"version: 0.2\nenv:\n  shell: bash -e\n" + phases, `b.yml:3:10: env.shell is "bash -e", it must be one program; write bash or /bin/sh`},
		"an unknown report format":   {"version: 0.2\nreports: {a: {file-format: XML}}\n" + phases, `b.yml:2:28: reports.a.file-format is "XML", which is no report format; write JUNITXML`},
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
		if commands == 0 || spec.Version == "" {
			t.Errorf("accepted version %q with %d commands", spec.Version, commands)
		}
		for _, w := range spec.Warnings {
			if w.Line < 1 || w.Column < 1 || w.Message == "" {
				t.Errorf("warning %+v", w)
			}
		}
	})
}
