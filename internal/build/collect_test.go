package build

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/artifact"
	"github.com/towline/towline/internal/buildspec"
	"github.com/towline/towline/internal/pipeline"
)

// left is what a build has left: files, and links of texts that begin with "-> ".
func left(t *testing.T, files map[string]string) plan {
	t.Helper()
	dir := t.TempDir()
	p := plan{Build: Build{Dir: dir, Source: filepath.Join(dir, sourceDir), Inputs: []string{"lib"}}, Seen: []string{"/seen/src", "/seen/in/lib"}}
	for _, dir := range []string{p.Build.Source, filepath.Join(dir, InputsDir, "lib")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		path := filepath.Join(p.Build.Source, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if to, ok := strings.CutPrefix(text, "-> "); ok {
			err = errors.Join(err, os.Symlink(to, path))
		} else {
			err = errors.Join(err, os.WriteFile(path, []byte(text), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// packed packs the artifacts of a plan and returns their files by artifact, and
// the log.
func packed(t *testing.T, p plan, outputs ...string) (made map[string]map[string]string, log string, err error) {
	t.Helper()
	store, err := artifact.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	trees, err := openTrees(p)
	if err != nil {
		t.Fatal(err)
	}
	defer trees.close()
	var text bytes.Buffer
	job := pipeline.Job{Action: pipeline.Action{Name: "package", Outputs: outputs}, Log: &text}
	all, err := Action{Artifacts: store}.packAll(t.Context(), job, p, trees)
	made = map[string]map[string]string{}
	for _, a := range all {
		made[a.Name] = unpacked(t, store, a)
	}
	return made, text.String(), err
}

func unpacked(t *testing.T, store *artifact.Store, a pipeline.Artifact) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if err := store.Unpack(t.Context(), a.Digest, dir); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if d.Type() == fs.ModeSymlink {
			to, err := os.Readlink(path)
			files[name] = "-> " + to
			return err
		}
		text, err := os.ReadFile(path)
		files[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestArtifactsHoldWhatTheBuildspecSays(t *testing.T) {
	t.Parallel()
	tree := map[string]string{
		"dist/app.js": "app", "dist/app.js.map": "map", "dist/img/a.png": "png", "dist/latest.js": "-> app.js", "dist/img/up.js": "-> ../../lib/up.js",
		"dist/gone": "-> nowhere", "dist/shadow": "-> /etc/shadow", "dist/pictures": "-> img", "dist/round": "-> ..",
		"lib/up.js": "up", ".git/config": "secret", "my-one/a.txt": "1", "my-two/a.txt": "2", "my-two/sub/b.txt": "b", "other/my-three/c.txt": "c",
	}
	for name, c := range map[string]struct {
		spec buildspec.Artifacts
		want map[string]string
		log  []string
	}{
		"plain patterns": {
			buildspec.Artifacts{Files: []string{"dist/*.js", "lib"}},
			map[string]string{"dist/app.js": "app", "dist/latest.js": "app", "lib/up.js": "up"}, nil,
		},
		"exclude-paths are relative to the base directory": {
			buildspec.Artifacts{Files: []string{"**/*"}, Exclude: []string{"**/*.map", "pictures", "round", "*.js"}, BaseDirectory: "dist"},
			map[string]string{"img/a.png": "png", "img/up.js": "up"},
			[]string{"gone is left out: the link leads nowhere, to nowhere", "shadow is left out: the link leads out of the artifact, to /etc/shadow"},
		},
		"links are followed, also to directories, and not in circles": {
			buildspec.Artifacts{Files: []string{"pictures/**", "round/lib/*", "round/dist/app.js"}, BaseDirectory: "dist"},
			map[string]string{"pictures/a.png": "png", "pictures/up.js": "up", "round/lib/up.js": "up"}, nil,
		},
		"enable-symlinks keeps links": {
			buildspec.Artifacts{Files: []string{"**/*"}, Exclude: []string{"**/*.map"}, BaseDirectory: "dist", Symlinks: true},
			map[string]string{"app.js": "app", "img/a.png": "png", "latest.js": "-> app.js", "gone": "-> nowhere", "pictures": "-> img"},
			[]string{"img/up.js is left out: the link leads out of the artifact, to ../../lib/up.js", "round is left out: the link leads out of the artifact, to .."},
		},
		"discard-paths": {
			buildspec.Artifacts{Files: []string{"dist/**/*.js", "my-*/*.txt"}, Exclude: []string{"dist/round/**", "dist/pictures/**"}, DiscardPaths: true},
			map[string]string{"app.js": "app", "latest.js": "app", "up.js": "up", "a.txt": "2"},
			[]string{"my-one/a.txt and my-two/a.txt have the same name in the artifact, a.txt; the second is taken"},
		},
		"discard-paths with links that are kept": {
			buildspec.Artifacts{Files: []string{"dist/*.js"}, DiscardPaths: true, Symlinks: true},
			map[string]string{"app.js": "app", "latest.js": "-> app.js"}, nil,
		},
		"a base directory that is a pattern": {
			buildspec.Artifacts{Files: []string{"**/*"}, BaseDirectory: "my-*"},
			map[string]string{"a.txt": "2", "sub/b.txt": "b"},
			[]string{"my-one/a.txt and my-two/a.txt have the same name in the artifact, a.txt; the second is taken"},
		},
		"paths as the commands saw them": {
			buildspec.Artifacts{Files: []string{"/seen/src/dist/*.js"}, Exclude: []string{"latest.js"}, BaseDirectory: "/seen/src/dist"},
			map[string]string{"app.js": "app"}, nil,
		},
		"the git directory is left out": {
			buildspec.Artifacts{Files: []string{"**/config", "lib/*"}}, map[string]string{"lib/up.js": "up"}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := left(t, tree)
			p.Artifacts = c.spec
			made, log, err := packed(t, p, "app")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string]map[string]string{"app": c.want}, made); diff != "" {
				t.Errorf("(-want +got)\n%s%s", diff, log)
			}
			for _, line := range c.log {
				if !strings.Contains(log, "warning: artifacts: "+line+"\n") {
					t.Errorf("the log has no %q\n%s", line, log)
				}
			}
		})
	}
}

func TestArtifactsAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spec buildspec.Artifacts
		want string
	}{
		"with a base directory that matches nothing": {buildspec.Artifacts{Files: []string{"*"}, BaseDirectory: "no-*"}, "artifacts: no directory matches no-*, which base-directory names"},
		"with a base directory that is elsewhere":    {buildspec.Artifacts{Files: []string{"*"}, BaseDirectory: "/seen/source"}, "artifacts: base-directory /seen/source is not inside the source"},
		"with a base directory above":                {buildspec.Artifacts{Files: []string{"*"}, BaseDirectory: "/seen/src/../.."}, "artifacts: base-directory / is not inside the source"},
		"with a pattern beside the base directory":   {buildspec.Artifacts{Files: []string{"/seen/src/lib/*"}, BaseDirectory: "dist"}, `artifacts: "/seen/src/lib/*" is not inside the base-directory dist`},
		"with an exclude path that is elsewhere":     {buildspec.Artifacts{Files: []string{"*"}, Exclude: []string{"../x"}}, `artifacts: "../x" is not a pattern for files inside the source`},
		"when all is excluded":                       {buildspec.Artifacts{Files: []string{"**/*"}, Exclude: []string{"**"}, BaseDirectory: "dist"}, "artifacts: no file matches **/* in dist/; what the commands made is not where artifacts.files and base-directory look"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := left(t, map[string]string{"dist/a": "a", "lib/b": "b"})
			p.Artifacts = c.spec
			_, _, err := packed(t, p, "app")
			if no, ok := errors.AsType[refusal](err); !ok || no.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestOutputsFindSecondaryArtifactsByName(t *testing.T) {
	t.Parallel()
	primary := buildspec.Artifacts{Name: "site-2026", Files: []string{"a"}}
	docs, lib := buildspec.Artifacts{ID: "docs", Files: []string{"b"}}, buildspec.Artifacts{ID: "lib", Files: []string{"*"}, BaseDirectory: "/seen/in/lib"}
	a, b, c := map[string]string{"a": "A"}, map[string]string{"b": "B"}, map[string]string{"c": "C"}
	for name, c := range map[string]struct {
		primary   buildspec.Artifacts
		secondary []buildspec.Artifacts
		outputs   []string
		want      map[string]map[string]string
		log, err  string
	}{
		"an action without outputs makes all": {primary, []buildspec.Artifacts{docs, lib}, nil, map[string]map[string]string{"site-2026": a, "docs": b, "lib": c}, "", ""},
		"one output is the primary artifact":  {primary, []buildspec.Artifacts{docs}, []string{"app"}, map[string]map[string]string{"app": a}, "the secondary artifact docs is not made", ""},
		"several are found by name":           {primary, []buildspec.Artifacts{docs, lib}, []string{"lib", "app", "docs"}, map[string]map[string]string{"app": a, "docs": b, "lib": c}, "", ""},
		"the primary one may be left out":     {primary, []buildspec.Artifacts{docs, lib}, []string{"docs", "lib"}, map[string]map[string]string{"docs": b, "lib": c}, "", ""},
		"a buildspec without artifacts":       {buildspec.Artifacts{}, nil, []string{"app"}, map[string]map[string]string{}, "", ""},
		"a name that the buildspec does not have": {
			primary, []buildspec.Artifacts{docs}, []string{"app", "dosc"}, nil, "",
			"artifacts: the action's output dosc is not among the secondary-artifacts of the buildspec, which are docs; an action with several outputs finds them there by name",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := left(t, map[string]string{"a": "A", "b": "B", "../in/lib/c": "C"})
			p.Artifacts, p.Secondary = c.primary, c.secondary
			made, log, err := packed(t, p, c.outputs...)
			if c.err != "" {
				if err == nil || err.Error() != c.err {
					t.Errorf("got %v, want %s", err, c.err)
				}
				return
			}
			if diff := cmp.Diff(c.want, made); err != nil || diff != "" {
				t.Errorf("%v (-want +got)\n%s%s", err, diff, log)
			}
			if !strings.Contains(log, c.log) {
				t.Errorf("the log has no %q\n%s", c.log, log)
			}
		})
	}
}

// recorder keeps what it is given.
type recorder struct{ runs []pipeline.TestRun }

func (r *recorder) Record(_ context.Context, run pipeline.TestRun) error {
	r.runs = append(r.runs, run)
	return nil
}

func TestReportsAreReadAndKept(t *testing.T) {
	t.Parallel()
	p := left(t, map[string]string{
		"out/TEST-a.xml": `<testsuite name="s"><testcase name="a" time="0.5"/><testcase name="b"><failure message="no"/></testcase></testsuite>`,
		"out/TEST-c.xml": "<html/>",
		"coverage.xml":   `<coverage><packages><package><classes><class filename="a.py"><lines><line number="1" hits="1"/><line number="2" hits="0"/></lines></class></classes></package></packages></coverage>`,
	})
	p.Reports = []buildspec.Report{
		{Name: "unit", Files: []string{"TEST-*.xml"}, BaseDirectory: "/seen/src/out", Format: "JUNITXML"},
		{Name: "coverage", Files: []string{"coverage.xml"}, Format: "COBERTURAXML"},
		{Name: "nothing", Files: []string{"no/*.xml"}, Format: "JUNITXML"},
	}
	var log bytes.Buffer
	var kept recorder
	job := pipeline.Job{
		Pipeline: "web", Execution: "web-7", Stage: "Test", Attempt: 2, Action: pipeline.Action{Name: "unit"},
		Revision: pipeline.Revision{Branch: "main", Commit: "3f9c2e1"}, Log: &log,
	}
	result, err := Action{Reports: &kept}.collect(t.Context(), job, p, Ended{Phases: []PhaseEnd{{Name: "build", Failure: &Failure{Command: "make", Exit: 1}}}})
	if err != nil {
		t.Fatal(err)
	}
	half := &pipeline.Coverage{Lines: 2, LinesCovered: 1}
	want := &pipeline.TestReport{Passed: 1, Failed: 1, Seconds: 0.5, Failures: []pipeline.TestFailed{{Suite: "s", Name: "b", Message: "no"}}, Coverage: half}
	if diff := cmp.Diff(want, result.Tests); diff != "" || result.Outcome != pipeline.Failed {
		t.Errorf("%s (-want +got)\n%s", result.Outcome, diff)
	}
	if result.Summary != "1 passed, 1 failed · 50.0% covered" {
		t.Errorf("summary %q", result.Summary)
	}
	if len(kept.runs) != 1 {
		t.Fatalf("kept %+v", kept.runs)
	}
	run := kept.runs[0]
	if run.At.IsZero() || len(run.Reports) != 3 || len(run.Reports[0].Cases) != 2 || len(run.Reports[1].Files) != 1 {
		t.Errorf("kept %+v", run)
	}
	run.At, run.Reports, want.Failures = run.At.Truncate(0), nil, nil
	wantRun := pipeline.TestRun{Pipeline: "web", Execution: "web-7", Stage: "Test", Attempt: 2, Action: "unit", Branch: "main", Commit: "3f9c2e1", At: run.At, Totals: *want}
	if diff := cmp.Diff(wantRun, run); diff != "" {
		t.Error("(-want +got)\n", diff)
	}
	for _, line := range []string{
		"warning: report unit: TEST-c.xml: read JUNITXML file: line 1: the outermost element is <html>",
		"warning: report nothing: no file matches no/*.xml\n",
	} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("the log has no %q\n%s", line, log.String())
		}
	}
}

func TestFittingLeavesOutWhatDidNotFailFirst(t *testing.T) {
	t.Parallel()
	report := pipeline.Report{
		Passed: 2, Failed: 1, Cases: []pipeline.TestCase{{Name: "a", Status: pipeline.TestPassed}, {Name: "b", Status: pipeline.TestFailing}, {Name: "c", Status: pipeline.TestPassed}},
		Files: []pipeline.CoveredFile{{Path: "a.py"}, {Path: "b.py"}},
	}
	for room, want := range map[int]struct{ cases, files, left int }{9: {3, 2, 4}, 4: {3, 1, 0}, 2: {1, 1, 0}, 1: {1, 0, 0}, 0: {0, 0, 0}} {
		one := report
		one.Cases = slices.Clone(report.Cases)
		left := room
		got := fitting(one, &left)
		if len(got.Cases) != want.cases || len(got.Files) != want.files || left != want.left || got.Passed != 2 {
			t.Errorf("room for %d: %+v, and for %d more", room, got, left)
		}
		if len(got.Cases) == 1 && got.Cases[0].Name != "b" {
			t.Errorf("room for %d: kept %s", room, got.Cases[0].Name)
		}
	}
}
