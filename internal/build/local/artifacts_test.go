package local_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/internal/build/local"
	"github.com/towline/towline/internal/pipeline"
)

// succeed runs a build and returns the files of its artifacts, by their paths.
func succeed(t *testing.T, b local.Build, log *lines) map[string]string {
	t.Helper()
	result, err := b.Run(t.Context())
	if err != nil || result.Outcome != pipeline.Succeeded {
		t.Fatalf("%+v, %v\n%s", result, err, strings.Join(log.all, "\n"))
	}
	found := map[string]string{}
	err = filepath.WalkDir(b.Out, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(b.Out, path)
		found[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	left(t, b)
	return found
}

func TestEachArtifactHasItsOwnFiles(t *testing.T) {
	t.Parallel()
	b, log := setup(t, map[string]string{"buildspec.yml": `version: 0.2
phases: {build: {commands: ['mkdir a b', 'printf 1 > a/f', 'printf 2 > b/f']}}
artifacts:
  name: ../../main
  files: [a/f]
  discard-paths: yes
  secondary-artifacts:
    other: {files: [b/f], discard-paths: yes}
`})
	b.Out = filepath.Join(t.TempDir(), "out")
	want := map[string]string{"..%2F..%2Fmain/f": "1", "other/f": "2"}
	if diff := cmp.Diff(want, succeed(t, b, log)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestBuildsOfABatchFindWhatOthersHaveMade(t *testing.T) {
	t.Parallel()
	b, log := setup(t, map[string]string{
		"source.txt": "",
		"buildspec.yml": `version: 0.2
batch:
  build-graph:
    - {identifier: first, buildspec: first.yml}
    - {identifier: second, buildspec: second.yml, depend-on: [first]}
`,
		"first.yml": `version: 0.2
phases: {build: {commands: ['printf made > f', 'printf more > g']}}
artifacts: {files: [f], secondary-artifacts: {extra: {files: [g]}}}
`,
		"second.yml": `version: 0.2
phases: {build: {commands: ['ls $CODEBUILD_SRC_DIR_first', 'cat $CODEBUILD_SRC_DIR_first/f > f', 'printf " again" >> f']}}
artifacts: {files: [f]}
`,
	})
	b.Config.Batch = &pipeline.Batch{}
	b.Out = filepath.Join(t.TempDir(), "out")
	whole := filepath.Base(b.Dir)
	got := succeed(t, b, log)
	want := map[string]string{"first/f": "made", "second/f": "made again", "first_extra/g": "more"}
	for name, text := range want {
		if name != "first_extra/g" {
			delete(want, name)
			want[filepath.Join(whole, name)] = text
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s\n%s", diff, strings.Join(log.all, "\n"))
	}
	if log.has("source.txt") {
		t.Errorf("a build finds the source where another one's files should be:\n%s", strings.Join(log.all, "\n"))
	}
}

func TestADirectoryIsNotReplacedByAFile(t *testing.T) {
	t.Parallel()
	b, _ := setup(t, map[string]string{"buildspec.yml": "version: 0.2\nphases: {build: {commands: ['printf 1 > f']}}\nartifacts: {files: [f]}\n"})
	b.Out = t.TempDir()
	write(t, b.Out, map[string]string{"f/precious": "1"})
	if _, err := b.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "f is a directory of an earlier build or of yours: remove it, or choose another directory with --artifacts") {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(b.Out, "f", "precious")); err != nil {
		t.Error(err)
	}
	left(t, b)
}
